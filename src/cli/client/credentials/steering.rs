//! Variables that steer the program that reads them, instead of passing it data.
//!
//! A member chooses the names of integrations and fields, and a pipeline runs with the resulting variables: a stored
//! `PATH` or `LD_PRELOAD` would run a member's code there, a stored `HTTPS_PROXY` would send the pipeline's data to a
//! member.

/// Returns whether a variable of this name steers a shell, loader, language runtime, package manager, git, ssh, a
/// pipeline's runner, a proxy or this program. Some of them read lower-case spellings too, such as `http_proxy` and
/// `npm_config_registry`.
pub(in crate::cli::client) fn steers(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let name = name.as_str();
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let is_credential = || CREDENTIALS.iter().any(|word| name.ends_with(word));
    NAMES.contains(&name)
        || begins(OWN)
        || ENDS.iter().any(|end| name.ends_with(end))
        || (begins(FAMILIES) && !is_credential())
}

/// Full names of variables that steer.
const NAMES: &[&str] = &[
    // Shells and everything they start.
    "BASHOPTS",
    "BASH_ENV",
    "CDPATH",
    "ENV",
    "FPATH",
    "HOME",
    "IFS",
    "PATH",
    "PROMPT_COMMAND",
    "PS0",
    "PS1",
    "PS2",
    "PS4",
    "PWD",
    "SHELL",
    "SHELLOPTS",
    "TMPDIR",
    "ZDOTDIR",
    // Programs that other programs start.
    "BROWSER",
    "EDITOR",
    "GNUPGHOME",
    "LESSCLOSE",
    "LESSOPEN",
    "MANPAGER",
    "PAGER",
    "VISUAL",
    // Loaders, runtimes and compilers.
    "AR",
    "CC",
    "CFLAGS",
    "CLASSPATH",
    "CXX",
    "CXXFLAGS",
    "GCONV_PATH",
    "GOFLAGS",
    "GOPRIVATE",
    "GOPROXY",
    "GOSUMDB",
    "JAVA_HOME",
    "LD",
    "LDFLAGS",
    "LOCPATH",
    "LUA_CPATH",
    "LUA_INIT",
    "LUA_PATH",
    "MAKEFILES",
    "MALLOC_CONF",
    "NLSPATH",
    "NODE_EXTRA_CA_CERTS",
    "NODE_PATH",
    "NODE_TLS_REJECT_UNAUTHORIZED",
    "OPENSSL_CONF",
    "OPENSSL_MODULES",
    "PHPRC",
    "PKG_CONFIG",
    "PHP_INI_SCAN_DIR",
    "R_PROFILE",
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
    // Locations of configuration, and trust anchors.
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "CURL_CA_BUNDLE",
    "CURL_HOME",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "DOCKER_HOST",
    "GH_CONFIG_DIR",
    "GH_HOST",
    "HOSTALIASES",
    "KUBECONFIG",
    "NETRC",
    "REQUESTS_CA_BUNDLE",
    "SSLKEYLOGFILE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERMINFO",
    "TF_CLI_CONFIG_FILE",
    "WGETRC",
];
/// Suffixes of variables that steer: arguments, programs to start, places to look in. Programs that nobody listed keep to
/// them too.
const ENDS: &[&str] = &[
    "FLAGS",
    "OPTS",
    "PATH",
    "_ARGS",
    "_ASKPASS",
    "_CMD",
    "_COMMAND",
    "_EDITOR",
    "_HOME",
    "_LAUNCHER",
    "_OPTIONS",
    "_PAGER",
    "_PRELOAD",
    "_PROXY",
    "_RSH",
    "_SHELL",
    "_SSH",
    "_TUNABLES",
    "_WRAPPER",
];
/// Prefixes of variables that steer, except the credentials among them.
const FAMILIES: &[&str] = &[
    "ACTIONS_",
    "AWS_ENDPOINT_URL",
    "BASH_FUNC_",
    "BUNDLE_",
    "CARGO_",
    "CMAKE_",
    "COMPOSER_",
    "CONDA_",
    "DENO_",
    "DOTNET_",
    "DYLD_",
    "ERL_",
    "GCONV",
    "GEM_",
    "GIT_",
    "GITHUB_",
    "GLIBC_",
    "GRADLE_",
    "JULIA_",
    "LD_",
    "MAVEN_",
    "NIX_",
    "NPM_CONFIG_",
    "PERL5",
    "PERLLIB",
    "PIP_",
    "PYTHON",
    "RUBY",
    "RUNNER_",
    "RUSTUP_",
    "SSH_",
    "TF_CLI_ARGS",
    "UV_",
    "XDG_",
    "YARN_",
];
/// Prefixes of this program's own variables: a stored `SFP_SERVER_URL` would send a pipeline's next read to a member's
/// server.
const OWN: &[&str] = &["SEALROOM_", "SFP_"];
/// Suffixes of names that hold a credential or belong to one: they pass data to a program.
const CREDENTIALS: &[&str] = &[
    "_APP_ID",
    "_CLIENT_ID",
    "_CLIENT_SECRET",
    "_INSTALLATION_ID",
    "_KEY",
    "_PASSPHRASE",
    "_PASSWORD",
    "_PAT",
    "_SECRET",
    "_TENANT_ID",
    "_TOKEN",
    "_USER",
    "_USERNAME",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_code_or_sends_data_elsewhere_steers() {
        for name in [
            "PATH",
            "GNUMAKEFLAGS",
            "MAKEFILES",
            "RSYNC_RSH",
            "SVN_SSH",
            "ERL_AFLAGS",
            "GLIBC_TUNABLES",
            "PKG_CONFIG",
            "CMAKE_TOOLCHAIN_FILE",
            "GH_HOST",
            "NETRC",
            "SOME_TOOL_WRAPPER",
            "ENV",
            "BASH_ENV",
            "IFS",
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "DYLD_INSERT_LIBRARIES",
            "NODE_OPTIONS",
            "NPM_CONFIG_REGISTRY",
            "NPM_CONFIG_NODE_OPTIONS",
            "PYTHONPATH",
            "PYTHONSTARTUP",
            "PERL5OPT",
            "RUBYOPT",
            "JAVA_TOOL_OPTIONS",
            "_JAVA_OPTIONS",
            "MAVEN_OPTS",
            "GIT_SSH_COMMAND",
            "GIT_CONFIG_COUNT",
            "GIT_CONFIG_KEY_0",
            "SSH_AUTH_SOCK",
            "SSH_ASKPASS",
            "GITHUB_ENV",
            "GITHUB_PATH",
            "GITHUB_OUTPUT",
            "GITHUB_API_URL",
            "RUNNER_TEMP",
            "HTTPS_PROXY",
            "NO_PROXY",
            "SFP_SERVER_URL",
            "SFP_SERVER_TOKEN",
            "SEALROOM_CONFIG",
            "SSL_CERT_FILE",
            "DOTNET_STARTUP_HOOKS",
            "AWS_ENDPOINT_URL_S3",
            "http_proxy",
            "npm_config_registry",
            "Path",
        ] {
            assert!(steers(name), "{name}");
        }
    }

    #[test]
    fn what_a_program_logs_in_with_does_not_steer() {
        for name in [
            "GITHUB_TOKEN",
            "GITHUB_APP_ID",
            "GITHUB_PRIVATE_KEY",
            "GITHUB_PACKAGES_TOKEN",
            "GITHUB_PACKAGES_USERNAME",
            "GITHUB_CLIENT_SECRET",
            "GITLAB_TOKEN",
            "NPM_TOKEN",
            "JIRA_BASE_URL",
            "JIRA_API_TOKEN",
            "AZURE_DEVOPS_TENANT",
            "SSH_PRIVATE_KEY",
            "DOCKER_PASSWORD",
            "DATABASE_URL",
            "ENVIRONMENT",
            "STRIPE",
            "CUSTOM_TOKEN",
            "LDAP_PASSWORD",
        ] {
            assert!(!steers(name), "{name}");
        }
    }
}
