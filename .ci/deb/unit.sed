# Makes the package's unit out of examples/systemd/sealroom.service: the package's user and the folder that it owns.
/^\[Unit\]$/,$!d
/^\[Unit\]$/i\
# sealroom as a service; the package starts and enables nothing. After the installation:\
#\
#   install -m 600 /dev/null /etc/sealroom/passphrase && editor /etc/sealroom/passphrase\
#   runuser -u sealroom -- sealroom init --data /var/lib/sealroom/vault.redb --owner-email ada@example.com \\\
#     --passphrase-stdin </etc/sealroom/passphrase\
#   systemctl enable --now sealroom\
#\
# Change settings in /etc/sealroom/config.toml, except `data` and `passphrase_file`, which the flags of ExecStart=\
# override: change those, and the rest of this unit, by `systemctl edit sealroom`. Removing the package disables it.\

s|^RequiresMountsFor=/var/lib/private$|RequiresMountsFor=/var/lib/sealroom|
s|^# A user that exists while the service runs; .*|# The package's user, to whom /var/lib/sealroom belongs.|
s|^# A user that exists only while it runs owns no folder there: .*|# The user sealroom owns them: chown sealroom: FOLDER.|
/^#SupplementaryGroups=/d
s|^DynamicUser=yes$|User=sealroom\nGroup=sealroom|
