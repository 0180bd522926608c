//! RFC 6455, 10.2: origins whose scripts may connect.

use wsrun_proto::http::origin::{Allowed, is_same_origin};

#[test]
fn origin_must_be_that_of_the_host() {
    let table = [
        ("https://good.com", "good.com", true, true),
        ("https://GOOD.com", "good.COM", true, true),
        ("https://good.com:443", "good.com", true, true),
        ("https://good.com", "good.com:443", true, true),
        ("http://good.com", "good.com:80", false, true),
        ("http://good.com:8080", "good.com:8080", false, true),
        ("https://[::1]:8443", "[::1]:8443", true, true),
        ("https://[::1]", "[0:0:0:0:0:0:0:1]", true, true),
        ("http://127.0.0.1", "127.0.0.1", false, true),
        (
            "https://xn--bcher-kva.example",
            "xn--bcher-kva.example",
            true,
            true,
        ),
        ("http://good.com", "good.com", true, false),
        ("https://good.com", "good.com", false, false),
        ("https://good.com:8443", "good.com", true, false),
        ("https://good.com", "good.com:8443", true, false),
        ("https://evil-good.com", "good.com", true, false),
        ("https://good.com.evil.com", "good.com", true, false),
        ("https://sub.good.com", "good.com", true, false),
        ("https://good.com", "sub.good.com", true, false),
        ("https://good.com.", "good.com", true, false),
        ("https://good.com@evil.com", "good.com", true, false),
        ("https://evil.com#good.com", "good.com", true, false),
        ("https://good.com/", "good.com", true, false),
        ("https://good.com:", "good.com", true, true),
        ("https://good.com:0x1bb", "good.com", true, false),
        ("https://good.com:+443", "good.com", true, false),
        ("https://good.com:99999", "good.com", true, false),
        ("https://good.com:443:443", "good.com", true, false),
        ("https://[::1", "[::1", true, false),
        ("https://[::1]x", "[::1]", true, false),
        ("https://127.0.0.1", "[::1]", true, false),
        ("chrome-extension://good.com", "good.com", true, false),
        ("good.com", "good.com", true, false),
        ("//good.com", "good.com", true, false),
        ("null", "null", true, false),
        ("", "", true, false),
        ("https://", "", true, false),
        (
            "https://b\u{fc}cher.example",
            "b\u{fc}cher.example",
            true,
            false,
        ),
    ];
    for (origin, host, secure, same) in table {
        assert_eq!(
            is_same_origin(origin, host, secure),
            same,
            "{origin} on {host}, secure: {secure}"
        );
    }
}

#[test]
fn origins_are_allowed_by_a_list() {
    let allowed = Allowed::parse(["https://good.com", "http://localhost:8080"]).unwrap();
    for origin in [
        "https://good.com",
        "https://good.com:443",
        "HTTPS://Good.Com",
        "http://localhost:8080",
    ] {
        assert!(allowed.contains(origin), "{origin}");
    }
    for origin in [
        "http://good.com",
        "https://sub.good.com",
        "https://evil-good.com",
        "http://localhost",
        "null",
        "",
    ] {
        assert!(!allowed.contains(origin), "{origin}");
    }
    assert!(Allowed::parse(["*"]).unwrap().contains("anything at all"));
    assert!(Allowed::parse(["null"]).unwrap().contains("null"));
    assert!(!Allowed::default().contains("https://good.com"));
    for invalid in [
        "good.com",
        "https://good.com/path",
        "https://*.good.com",
        "https://",
        "",
    ] {
        assert!(Allowed::parse([invalid]).is_err(), "{invalid}");
    }
}
