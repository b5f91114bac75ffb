"""Runs the nodes of a Ray cluster on this machine.

It prints the cluster's address, and obeys lines with the word `add` or `kill`.
"""

import sys

from ray.cluster_utils import Cluster

CPUS = 2


def main() -> None:
    """Ends with its input. Ray's files lie in the folder that the command line names."""
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": CPUS, "include_dashboard": False, "temp_dir": sys.argv[1]},
    )
    others = [cluster.add_node(num_cpus=CPUS)]
    print(cluster.address, flush=True)
    try:
        for line in sys.stdin:
            if line.strip() == "kill" and others:
                cluster.remove_node(others.pop(), allow_graceful=False)
            elif line.strip() == "add" and not others:
                others.append(cluster.add_node(num_cpus=CPUS))
            print("done", flush=True)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
