"""Machines through libvirt: the XML (pure), the connection, the domains, and what the node is."""
