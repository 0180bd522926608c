//! RFC 7692, 5 and 7.1: agreement on compression, in both roles.

use wsrun_proto::http::extensions;
use wsrun_proto::ws::Role;
use wsrun_proto::ws::deflate::{self, DeflateConfig, DeflateResponseError};

#[test]
fn server_chooses_among_offers_of_compression() {
    const PMD: &str = "permessage-deflate";
    let off = "; server_no_context_takeover; client_no_context_takeover";
    let offers: &[(&[&str], Option<&str>)] = &[
        (&[], None),
        (&[""], None),
        (&[","], None),
        (&["permessage-deflate"], Some("")),
        (&["permessage-deflate ; "], None),
        (&["permessage-deflate;"], None),
        (&["permessage-deflate,"], Some("")),
        (&["x-webkit-deflate-frame"], None),
        (&["permessage-bzip2, permessage-deflate"], Some("")),
        (&["permessage-deflate2"], None),
        (&["Permessage-Deflate"], None),
        (&["permessage-deflate; client_max_window_bits"], Some("")),
        (&["permessage-deflate; client_max_window_bits=15"], Some("")),
        (&["permessage-deflate; client_max_window_bits=8"], Some("")),
        (
            &["permessage-deflate; client_max_window_bits=\"10\""],
            Some(""),
        ),
        (
            &["permessage-deflate; client_max_window_bits=\"1\\0\""],
            Some(""),
        ),
        (&["permessage-deflate; client_max_window_bits=7"], None),
        (&["permessage-deflate; client_max_window_bits=16"], None),
        (&["permessage-deflate; client_max_window_bits=010"], None),
        (&["permessage-deflate; client_max_window_bits=+10"], None),
        (&["permessage-deflate; client_max_window_bits=10.0"], None),
        (&["permessage-deflate; client_max_window_bits=\"\""], None),
        (&["permessage-deflate; client_max_window_bits="], None),
        (
            &["permessage-deflate; client_max_window_bits=99999999999999999999"],
            None,
        ),
        (
            &["permessage-deflate; client_max_window_bits; client_max_window_bits"],
            None,
        ),
        (&["permessage-deflate; server_max_window_bits"], None),
        (
            &["permessage-deflate; server_max_window_bits=15"],
            Some("; server_max_window_bits=15"),
        ),
        (
            &["permessage-deflate; server_max_window_bits=9"],
            Some("; server_max_window_bits=9"),
        ),
        (
            &["permessage-deflate; server_max_window_bits=\"9\""],
            Some("; server_max_window_bits=9"),
        ),
        (
            &["permessage-deflate;server_max_window_bits = 9"],
            Some("; server_max_window_bits=9"),
        ),
        (&["permessage-deflate; server_max_window_bits=8"], None),
        (&["permessage-deflate; server_max_window_bits=08"], None),
        (&["permessage-deflate; server_max_window_bits=0"], None),
        (&["permessage-deflate; server_max_window_bits=-9"], None),
        (
            &["permessage-deflate; server_max_window_bits=9; server_max_window_bits=9"],
            None,
        ),
        (
            &["permessage-deflate; server_max_window_bits=8, permessage-deflate"],
            Some(""),
        ),
        (
            &["permessage-deflate; server_max_window_bits=10, permessage-deflate"],
            Some("; server_max_window_bits=10"),
        ),
        (
            &["permessage-deflate; unknown, permessage-deflate; server_no_context_takeover"],
            Some(""),
        ),
        (
            &["permessage-deflate; server_no_context_takeover"],
            Some(""),
        ),
        (&["permessage-deflate; server_no_context_takeover=1"], None),
        (
            &["permessage-deflate; server_no_context_takeover=true, permessage-deflate"],
            Some(""),
        ),
        (
            &["permessage-deflate; server_no_context_takeover; server_no_context_takeover"],
            None,
        ),
        (
            &["permessage-deflate; client_no_context_takeover"],
            Some(""),
        ),
        (
            &["permessage-deflate; client_no_context_takeover=\"\""],
            None,
        ),
        (&["permessage-deflate; CLIENT_NO_CONTEXT_TAKEOVER"], None),
        (
            &[
                "permessage-deflate; client_no_context_takeover; server_no_context_takeover; \
               client_max_window_bits=12; server_max_window_bits=11",
            ],
            Some("; server_max_window_bits=11"),
        ),
        (&["foo, bar; baz=2", "permessage-deflate"], Some("")),
        (&["permessage-deflate; =1"], None),
        (&["permessage-deflate; a b"], None),
        (&["permessage-deflate \"x\""], None),
        (&["permessage-deflate; a=\"unterminated"], None),
        (&["permessage-deflate; a=\"trailing\\"], None),
        (
            &["permessage-deflate; a=\"two words\", permessage-deflate"],
            None,
        ),
        (&["permessage-deflate, @", "permessage-deflate"], Some("")),
        (&["perm\u{e4}ge"], None),
        (&["permessage-deflate permessage-deflate"], None),
        (&["permessage-deflate\u{0}"], None),
        (&[";"], None),
        (&["="], None),
        (&["\""], None),
    ];
    assert!(offers.len() >= 55);
    for (values, expected) in offers {
        let outcome = deflate::negotiate(values.iter().copied(), &DeflateConfig::default());
        let header = outcome.map(|(_, header)| header);
        assert_eq!(
            header,
            expected.map(|rest| format!("{PMD}{off}{rest}")),
            "{values:?}"
        );
    }
}

#[test]
fn offers_decide_about_context_and_windows() {
    let kept = DeflateConfig {
        context_takeover: true,
        ..DeflateConfig::default()
    };
    let narrow = DeflateConfig {
        window_bits_max: 10,
        ..kept
    };
    let table = [
        ("permessage-deflate", kept, "", (true, 15), (true, 15)),
        (
            "permessage-deflate; server_no_context_takeover",
            kept,
            "; server_no_context_takeover",
            (false, 15),
            (true, 15),
        ),
        (
            "permessage-deflate; client_no_context_takeover",
            kept,
            "; client_no_context_takeover",
            (true, 15),
            (false, 15),
        ),
        (
            "permessage-deflate; client_max_window_bits=9",
            kept,
            "",
            (true, 15),
            (true, 9),
        ),
        ("permessage-deflate", narrow, "", (true, 10), (true, 15)),
        (
            "permessage-deflate; client_max_window_bits",
            narrow,
            "; client_max_window_bits=10",
            (true, 10),
            (true, 10),
        ),
        (
            "permessage-deflate; client_max_window_bits=9",
            narrow,
            "",
            (true, 10),
            (true, 9),
        ),
        (
            "permessage-deflate; server_max_window_bits=12",
            narrow,
            "; server_max_window_bits=10",
            (true, 10),
            (true, 15),
        ),
    ];
    for (offer, config, response, server, client) in table {
        let (agreed, header) = deflate::negotiate([offer], &config).unwrap();
        assert_eq!(header, format!("permessage-deflate{response}"), "{offer}");
        for (role, expected) in [(Role::Server, server), (Role::Client, client)] {
            assert_eq!(
                (agreed.context_takeover(role), agreed.window_bits(role)),
                expected,
                "{offer} of {role:?}"
            );
        }
    }
}

#[test]
fn client_judges_the_response_to_its_offer() {
    use DeflateResponseError::{ChosenTwice, ExtensionNotOffered, InvalidParameter, Malformed};
    let table: [(&[&str], Result<bool, DeflateResponseError>); 17] = [
        (&[], Ok(false)),
        (&[""], Ok(false)),
        (&["permessage-deflate"], Ok(true)),
        (
            &["permessage-deflate; server_no_context_takeover; client_no_context_takeover"],
            Ok(true),
        ),
        (&["permessage-deflate; server_max_window_bits=8"], Ok(true)),
        (&["permessage-deflate; client_max_window_bits=9"], Ok(true)),
        (
            &["permessage-deflate; client_max_window_bits=8"],
            Err(InvalidParameter),
        ),
        (
            &["permessage-deflate; client_max_window_bits"],
            Err(InvalidParameter),
        ),
        (
            &["permessage-deflate; server_max_window_bits"],
            Err(InvalidParameter),
        ),
        (
            &["permessage-deflate; server_max_window_bits=16"],
            Err(InvalidParameter),
        ),
        (&["permessage-deflate; unknown"], Err(InvalidParameter)),
        (
            &["permessage-deflate; server_no_context_takeover=1"],
            Err(InvalidParameter),
        ),
        (
            &["permessage-deflate, permessage-deflate"],
            Err(ChosenTwice),
        ),
        (
            &["permessage-deflate", "permessage-deflate"],
            Err(ChosenTwice),
        ),
        (&["permessage-bzip2"], Err(ExtensionNotOffered)),
        (&["permessage-deflate;"], Err(Malformed)),
        (&["@"], Err(Malformed)),
    ];
    for (values, expected) in table {
        let outcome = deflate::agree(values.iter().copied(), &DeflateConfig::default());
        assert_eq!(
            outcome.map(|agreed| agreed.is_some()),
            expected,
            "{values:?}"
        );
    }
    let narrow = DeflateConfig {
        window_bits_max: 10,
        ..DeflateConfig::default()
    };
    assert_eq!(
        deflate::agree(["permessage-deflate"], &narrow),
        Err(InvalidParameter),
        "15 bits were not offered"
    );
    let agreed = deflate::agree(["permessage-deflate; server_max_window_bits=10"], &narrow)
        .unwrap()
        .unwrap();
    assert!(
        agreed.context_takeover(Role::Server),
        "the server did not promise otherwise"
    );
    assert!(!agreed.context_takeover(Role::Client));
    assert_eq!(agreed.window_bits(Role::Client), 10);
}

#[test]
fn both_roles_agree_with_each_other() {
    for context_takeover in [false, true] {
        for client_bits in 8..=15 {
            for server_bits in 8..=15 {
                let config = |window_bits_max| DeflateConfig {
                    context_takeover,
                    window_bits_max,
                    ..DeflateConfig::default()
                };
                let offer = deflate::offer(&config(client_bits));
                let (server, response) =
                    deflate::negotiate([offer.as_str()], &config(server_bits)).unwrap();
                let client = deflate::agree([response.as_str()], &config(client_bits))
                    .unwrap()
                    .unwrap();
                for role in [Role::Server, Role::Client] {
                    assert_eq!(server.context_takeover(role), client.context_takeover(role));
                    assert!(client.window_bits(Role::Client) <= server.window_bits(Role::Client));
                    assert!(server.window_bits(Role::Server) <= client.window_bits(Role::Server));
                }
            }
        }
    }
}

#[test]
fn long_lists_of_extensions_are_read_in_linear_time() {
    let long = "permessage-deflate; a=\"b\\c\", ".repeat(100_000);
    assert_eq!(extensions::parse(&long).unwrap().len(), 100_000);
    assert!(extensions::parse(&"\"".repeat(1_000_000)).is_err());
    assert!(
        extensions::parse(&" ".repeat(1_000_000))
            .unwrap()
            .is_empty()
    );
}
