"""The lab: two hosts and the firewall between them, in network namespaces, with both real processes. See ../../demo."""
