/** The configuration of a small Ceph on one host, all of whose data is in memory. */

export interface CephPlace {
  /** Holds what its programs need while they run. */
  readonly folder: string;
  /** Of the cluster, a UUID. */
  readonly id: string;
  readonly monitorPort: number;
  readonly gatewayPort: number;
}

/** Without authentication between its parts, one copy of everything, and few placement groups, so that it starts fast. */
export function cephConfig({ folder, id, monitorPort, gatewayPort }: CephPlace): string {
  return `
[global]
fsid = ${id}
mon host = [v2:127.0.0.1:${monitorPort}]
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = none
auth service required = none
auth client required = none
keyring = ${folder}/keyring
run dir = ${folder}
pid file =
admin socket =
crash dir = ${folder}
log file =
log to stderr = true
mon cluster log file =
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon max pg per osd = 1000
mon data avail warn = 2
mon data avail crit = 1
mon allow pool size one = true
paxos propose interval = 0.01
paxos min wait = 0.01
# What went out before its receiver was up is said again after this many seconds, not after 5.
objecter tick interval = 0.5
mon tick interval = 1
[mon]
mon data = ${folder}/mon
[osd]
osd data = ${folder}/osd
osd objectstore = memstore
# It refuses writes when this much is taken; memory is used as it fills.
memstore device bytes = 8589934592
[client.gateway]
rgw frontends = beast endpoint=127.0.0.1:${gatewayPort} tcp_nodelay=1
rgw enable usage log = false
rgw enable ops log = false
rgw thread pool size = 32
# Deleted data stays for readers that are not through yet, but not for the two hours that are the default.
rgw gc obj min wait = 120
rgw gc processor period = 60
debug rgw = 0
# Without authentication it has no key to encrypt with.
ms mon client mode = crc
`;
}
