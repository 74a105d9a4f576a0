"""The gateways of a node: what carries traffic to the replicas behind services and ingresses.

`table` keeps what the control plane sent, `live` takes from it what this very node knows to be
dead, `rules` and `nftables` put it into the kernel, `http_config` and `caddy` into the HTTP
gateway, `names` and `dns` into answers to look-ups. `gateway` puts them together.
"""
