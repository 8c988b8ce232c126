#!/usr/bin/env bash
# Runs a program on two ranks that stand for two machines: each in a network namespace of its own, under a host
# name of its own, so that they reach each other over a (virtual) network only. Needs root, iproute2 and Open MPI.
#
# usage: tools/compare/two_namespaces.sh PROGRAM [ARGUMENT...]
set -euo pipefail
(($#)) || { sed -n 's/^# usage: //p' "$0" >&2; exit 2; }

a=pare-a-$$
b=pare-b-$$
folder=$(mktemp -d)
cleanup() {
  ip netns del "$a" 2>/dev/null || true
  ip netns del "$b" 2>/dev/null || true
  rm -rf "$folder"
}
trap cleanup EXIT

ip netns add "$a"
ip netns add "$b"
ip link add name pare0 netns "$a" type veth peer name pare0 netns "$b"
number=1
for namespace in "$a" "$b"; do
  ip -n "$namespace" addr add "10.213.7.$number/24" dev pare0
  ip -n "$namespace" link set pare0 up
  ip -n "$namespace" link set lo up
  number=$((number + 1))
done

# What mpirun calls in place of ssh: AGENT HOST COMMAND...
cat >"$folder/agent" <<END
#!/usr/bin/env bash
shift
exec ip netns exec $b unshare --uts bash -c "hostname machine-b; \$*"
END
chmod +x "$folder/agent"

ip netns exec "$a" unshare --uts bash -c 'hostname machine-a; exec "$@"' bash \
  mpirun --allow-run-as-root --mca plm_rsh_agent "$folder/agent" --mca btl tcp,self \
  --mca btl_tcp_if_include 10.213.7.0/24 --mca oob_tcp_if_include 10.213.7.0/24 \
  --host 10.213.7.1,10.213.7.2 -n 2 "$@"
