"""The driver conformance kit: shipped, so that a vendor runs the same checks as we do. Virtual time; talks to no device."""
