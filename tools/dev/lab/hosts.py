"""The two hosts' servers: nginx as the shop, small listeners for the rest."""
import os
import shutil

from . import network
from .names import DB, OUTSIDE, SHOP
from .shell import in_ns, run, spawn, until

_NGINX = """
daemon off;
user root;
worker_processes 1;
pid {run}/nginx.pid;
error_log {log}/nginx.log warn;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {run}/nginx-body;
    proxy_temp_path {run}/nginx-proxy;
    fastcgi_temp_path {run}/nginx-fastcgi;
    uwsgi_temp_path {run}/nginx-uwsgi;
    scgi_temp_path {run}/nginx-scgi;
    server {{
        listen {v4}:80;
        listen [{v6}]:80;
        listen {v4}:443 ssl;
        listen [{v6}]:443 ssl;
        ssl_certificate {run}/shop.pem;
        ssl_certificate_key {run}/shop.key;
        location / {{ return 200 "shop\\n"; }}
    }}
}}
"""


def _place(kind, address, port):
    return f"{kind}:[{address}]:{port}" if ":" in address else f"{kind}:{address}:{port}"


def _certificate(lab):
    run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
        "-subj", "/CN=shop", "-addext", "subjectAltName=DNS:shop",
        "-keyout", f"{lab.run_dir}/shop.key", "-out", f"{lab.run_dir}/shop.pem",
    )  # fmt: skip


def start(lab):
    """Starts the servers and waits until they listen. Returns their pids."""
    listener = os.path.join(os.path.dirname(__file__), "listener.py")
    # The shop listens on 22 too: a refused connection there is the firewall's word and not the host's.
    inside = [_place("tcp", address, 22) for address in SHOP] + [_place("tcp", address, 5432) for address in DB]
    outside = [_place("http", address, 80) for address in OUTSIDE]
    _certificate(lab)
    with open(f"{lab.run_dir}/nginx.conf", "w", encoding="utf-8") as file:
        file.write(_NGINX.format(run=lab.run_dir, log=lab.log_dir, v4=SHOP[0], v6=SHOP[1]))
    log = f"{lab.log_dir}/hosts.log"
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    pids = [
        spawn(in_ns(lab.ns_inside, nginx, "-c", f"{lab.run_dir}/nginx.conf"), log, lab.name),
        spawn(in_ns(lab.ns_inside, "/usr/bin/python3", "-I", listener, *inside), log, lab.name),
        spawn(in_ns(lab.ns_outside, "/usr/bin/python3", "-I", listener, *outside), log, lab.name),
    ]
    cure = f"read {log} and {lab.log_dir}/nginx.log"
    until(lambda: _listening(lab.ns_inside) >= {"22", "80", "443", "5432"}, "the inside host's servers", cure=cure)
    until(lambda: _listening(lab.ns_outside) >= {"80"}, "the outside host's server", cure=cure)
    return pids


def _listening(namespace):
    """TCP ports somebody listens on in there."""
    lines = run(*in_ns(namespace, "ss", "-Hltn")).stdout.splitlines()
    return {line.split()[3].rsplit(":", 1)[1] for line in lines}


def stop(lab, pids):
    del pids  # everything in the namespaces is the lab's, whoever started it
    for namespace in (lab.ns_outside, lab.ns_inside):
        for pid in network.pids_in(namespace):
            try:
                os.kill(pid, 15)
            except ProcessLookupError:
                pass
