"""The lab's service manager: see ../supervise. On an appliance systemd does this; docs/decisions/0009 says what differs."""
