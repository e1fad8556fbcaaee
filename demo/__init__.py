"""The demo: starts the product's processes, shows them at work, and judges what arrived. Imports none of our packages."""
