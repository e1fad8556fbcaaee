"""What drivers are written against. Pure: no clock, no I/O; the hosts (agent, kit, simulator) bring those."""
