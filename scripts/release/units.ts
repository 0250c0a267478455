/** Units of systemd for the parts of a grid. docs/guides/operate.md shows the same for a checkout. */

const parts = {
  node: {
    what: "storage node",
    needs: "/var/lib/holdfast/node",
    run: "node run --identity /var/lib/holdfast/node --dir /var/lib/holdfast/shares",
    variables: "HOLDFAST_NODE_RUN_LISTEN, HOLDFAST_NODE_RUN_ADVERTISE",
  },
  coordinator: {
    what: "coordinator",
    needs: "/etc/holdfast/coordinator.env",
    run: "coordinator run --dir /var/lib/holdfast/coordinator",
    variables: "HOLDFAST_COORDINATOR_RUN_ADVERTISE, HOLDFAST_COORDINATOR_RUN_CODING",
  },
}

/** Makes the user that they run as. */
export const users = 'u holdfast - "Holdfast" /var/lib/holdfast\n'

/** The unit of a part: it starts only where that has been set up. */
export function unitOf(part: keyof typeof parts): string {
  const { what, needs, run, variables } = parts[part]
  return `[Unit]
Description=Holdfast ${what}
Documentation=man:holdfast-${part}(1)
After=network-online.target
Wants=network-online.target
ConditionPathExists=${needs}

[Service]
User=holdfast
# Flags as variables, such as ${variables}.
EnvironmentFile=-/etc/holdfast/${part}.env
ExecStart=/usr/bin/holdfast ${run}
Restart=on-failure
RestartSec=2
TimeoutStopSec=20
LimitNOFILE=16384
UMask=0077
StateDirectory=holdfast
StateDirectoryMode=0700
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
NoNewPrivileges=yes
CapabilityBoundingSet=
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service

[Install]
WantedBy=multi-user.target
`
}
