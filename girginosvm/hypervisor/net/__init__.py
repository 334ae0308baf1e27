"""Bridges and filters, through netlink and nftables."""
