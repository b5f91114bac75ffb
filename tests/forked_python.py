"""Stands for Python where a program starts one: asks the fork server to fork a process for these arguments.

The first line of a copy of this file names the interpreter; FORK_SERVER names the server's socket.
"""

import json
import os
import socket
import sys

if sys.argv[1:3] == ["-m", "submitit.local._local"]:  # knows its job by the number of its process
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
request = {
    "folder": os.getcwd(),
    "arguments": sys.argv[1:],
    "environment": dict(os.environ),
    "max_file_bytes": None,
}
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
    server.connect(os.environ["FORK_SERVER"])
    socket.send_fds(server, [json.dumps(request).encode()], [1, 2])
    server.recv(4)  # its number
    code = int.from_bytes(server.recv(4), "little", signed=True)
sys.exit(code if code >= 0 else 128 - code)
