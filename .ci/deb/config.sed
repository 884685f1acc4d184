# Makes the package's /etc/sealroom/config.toml out of config.example.toml.
s|^#: data = .*|data = "/var/lib/sealroom/vault.redb"|
