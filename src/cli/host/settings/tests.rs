use super::*;
use crate::cli::error::CliError;

fn check(args: &[&str]) -> Result<(), CliError> {
    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }
    let args = <Command as clap::Parser>::parse_from(std::iter::once(&"serve").chain(args)).args;
    read(&args).and_then(|plan| check_listener(&plan, args.dev))
}

#[test]
fn only_loopback_a_socket_tls_or_a_proxy_may_be_listened_on() {
    let tls = ["--tls-cert", "c", "--tls-key", "k"];
    assert!(check(&["--dev", "--listen", "127.0.0.1:0"]).is_ok());
    assert!(check(&["--listen", "[::1]:0"]).is_ok());
    assert!(check(&["--listen", "unix:/tmp/x"]).is_ok());
    assert!(check(&["--listen", "0.0.0.0:0"]).is_err());
    let proxied = ["--listen", "0.0.0.0:0", "--behind-tls-proxy"];
    assert!(check(&proxied).is_err(), "whoever reaches it past the proxy would choose its address");
    assert!(check(&[&proxied[..], &["--trusted-proxies", "10.0.0.0/8,192.0.2.1"]].concat()).is_ok());
    assert!(check(&[&proxied[..], &["--trusted-proxies", "10.0.0.0/40"]].concat()).is_err());
    assert!(check(&["--listen", "0.0.0.0:0", "--behind-tls-proxy", "--dev"]).is_err());
    assert!(check(&[&["--listen", "0.0.0.0:0"][..], &tls].concat()).is_ok());
    assert!(check(&[&["--listen", "unix:/tmp/x"][..], &tls].concat()).is_err());
    assert!(check(&tls[..2]).is_err() && check(&tls[2..]).is_err());
    for text in ["", "unix:", "127.0.0.1", "127.0.0.1:99999"] {
        assert!(check(&["--listen", text]).is_err(), "{text}");
    }
}

#[test]
fn a_wrong_address_is_told_with_its_value_its_source_and_the_forms() {
    for (text, says) in [
        ("x", "--listen: 'x' is not an address: it has no port"),
        ("", "--listen: '' is not an address"),
        (":3029", "--listen: ':3029' has no host before its port"),
        ("127.0.0.1:99999", "has no port from 0 to 65535"),
        ("127.0.0.1:http", "has no port from 0 to 65535"),
        ("unix:", "--listen: 'unix:' has no path"),
        ("unix:~/api.sock", "`~`, which is not expanded"),
        ("a\u{1b}[2J", "\\u{1b}"),
    ] {
        let error = check(&["--listen", text]).unwrap_err();
        assert!(error.message.contains(says), "{text}: {}", error.message);
        assert!(!error.message.contains('\u{1b}') && !error.hint.is_empty());
    }
}

#[test]
fn a_value_out_of_its_bounds_is_told_with_the_flag_it_came_from() {
    for (flag, value, says) in [
        ("--queue-max", "0", "--queue-max: 0 must be at least 1"),
        ("--worker-threads", "0", "--worker-threads: 0 must be at least 1"),
        ("--header-timeout-secs", "0", "--header-timeout-secs: 0 must be at least 1"),
        ("--request-timeout-secs", "0", "at least 1"),
        ("--stall-timeout-secs", "0", "at least 1"),
        ("--connections-max", "0", "at least 1"),
        ("--body-bytes-max", "1023", "at least 1024"),
        ("--header-bytes-max", "8191", "at least 8192"),
        ("--cache-bytes", "1048575", "at least 1048576"),
        ("--cache-bytes", "1073741825", "at most 1073741824"),
        ("--checkpoint-every-secs", "0", "at least 1"),
        ("--log-level", "loud", "--log-level: 'loud' is not a log level"),
    ] {
        let error = check(&[flag, value]).unwrap_err();
        assert!(error.message.contains(says), "{flag}: {}", error.message);
    }
    assert!(check(&["--disk-low-bytes", "18446744073709551615"]).is_ok(), "any size");
}
