//! RFC 9112: the boundaries of the requests on one connection.

use wsrun_proto::http::framing::{Framing, RequestError};
use wsrun_proto::limits::Limits;

/// Splits input that comes in pieces of `piece` bytes into its parts. Returns them, and the reason
/// why there are no more.
fn units(input: &[u8], piece: usize, limits: Limits) -> (Vec<Vec<u8>>, Option<RequestError>) {
    let mut framing = Framing::new(limits);
    let (mut held, mut units) = (Vec::new(), Vec::new());
    for piece in input.chunks(piece) {
        held.extend_from_slice(piece);
        while !held.is_empty() {
            match framing.next(&held) {
                Ok(0) => break,
                Ok(length) => units.push(held.drain(..length).collect()),
                Err(error) => {
                    assert_eq!(framing.next(&held), Err(error), "it stays refused");
                    return (units, Some(error));
                }
            }
        }
    }
    (units, None)
}

/// Splits input with every size of a piece. Only the parts of bodies may depend on it.
#[track_caller]
fn at_every_size(input: &[u8]) -> (Vec<Vec<u8>>, Option<RequestError>) {
    let whole = units(input, input.len(), Limits::default());
    for piece in 1..input.len() {
        let (cut, error) = units(input, piece, Limits::default());
        assert_eq!(
            (cut.concat(), error),
            (whole.0.concat(), whole.1),
            "{piece}"
        );
    }
    whole
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn heads_and_bodies_are_passed_on_one_at_a_time() {
    let post = "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n";
    let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n";
    let chunks = "3;x=\"y\"\r\nabc\r\n10 \r\n0123\r\n6789\n\rcdef\r\n000\r\nX: y\r\n\r\n";
    // An empty line before a request is skipped, and a frame after it is not read.
    let input = format!("{GET}{post}GET /{chunked}{chunks}\r\n\r\n{GET}\u{1}");
    let (units, error) = at_every_size(input.as_bytes());
    assert_eq!(error, Some(RequestError::NotHttp));
    let units: Vec<String> = units
        .into_iter()
        .map(|unit| String::from_utf8(unit).unwrap())
        .collect();
    assert_eq!(
        units,
        [
            GET,
            post,
            "GET /",
            chunked,
            chunks,
            &format!("\r\n\r\n{GET}")
        ]
    );
    let (units, error) = at_every_size(b"GET / HTTP/1.0\r\n\r\n\r\n");
    assert_eq!((units.len(), error), (1, None));
}

#[test]
fn what_another_server_could_read_differently_is_refused() {
    use RequestError::{
        BareLineFeed, CodingNotUnderstood, Fragment, LengthUnclear, NotChunked, NotHttp,
    };
    for (head, error) in [
        ("GET / HTTP/1.1\nHost: a\n\n", BareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", BareLineFeed),
        (
            "POST / HTTP/1.1\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n",
            BareLineFeed,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", BareLineFeed),
        ("\nGET / HTTP/1.1\r\n\r\n", BareLineFeed),
        ("GET / HTTP/1.1\r\nX: a\rb\r\n\r\n", NotHttp),
        ("GET / HTTP/1.1\r\nX : a\r\n\r\n", NotHttp),
        ("GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n", NotHttp),
        ("GET / HTTP/2.0\r\n\r\n", NotHttp),
        ("GET\r\n\r\n", NotHttp),
        ("GET /a#b HTTP/1.1\r\n\r\n", Fragment),
        ("GET http://a/b# HTTP/1.1\r\n\r\n", Fragment),
        ("\u{16}\u{3}\u{1}", NotHttp),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            CodingNotUnderstood,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
            CodingNotUnderstood,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
            LengthUnclear,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
            NotChunked,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
            NotChunked,
        ),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: \r\n\r\n", NotChunked),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n",
            NotHttp,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
            LengthUnclear,
        ),
        (
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            LengthUnclear,
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n",
            LengthUnclear,
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n",
            LengthUnclear,
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            LengthUnclear,
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n",
            LengthUnclear,
        ),
        ("POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", LengthUnclear),
    ] {
        let (units, refused) = at_every_size(head.as_bytes());
        assert_eq!((units.len(), refused), (0, Some(error)), "{head:?}");
        let status = if error == CodingNotUnderstood {
            501
        } else {
            400
        };
        assert_eq!(error.status(), status);
        // A refusal after another request is the same.
        let (units, refused) = at_every_size(format!("{GET}{head}").as_bytes());
        assert_eq!((units.len(), refused), (1, Some(error)), "{head:?}");
    }
}

#[test]
fn chunks_that_are_none_are_refused() {
    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunks in [
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "\r\n\r\n",
        "x\r\n",
        "-1\r\n",
        "0x3\r\nabc\r\n",
        "11111111111111111\r\n",
        "3;a\nb\r\nabc\r\n",
        "0\r\nX: y\n\nGET / HTTP/1.1\r\n\r\n",
        "0\r\n\n",
    ] {
        let input = format!("{head}{chunks}");
        for piece in 1..=input.len() {
            let (_, error) = units(input.as_bytes(), piece, Limits::default());
            assert_eq!(error, Some(RequestError::ChunksMalformed), "{chunks:?}");
        }
    }
    for (extension, trailer, is_taken) in [
        (1_000, 1_000, true),
        (1_100, 0, false),
        (0, 17 * 1024, false),
    ] {
        let input = format!(
            "{head}1;{}\r\na\r\n0\r\nX: {}\r\n\r\n",
            "e".repeat(extension),
            "t".repeat(trailer)
        );
        let (_, error) = units(input.as_bytes(), 100, Limits::default());
        assert_eq!(error.is_none(), is_taken, "{extension} {trailer}");
    }
}

#[test]
fn head_keeps_to_its_limits() {
    let limits = Limits {
        header_bytes_max: 100,
        headers_max: 2,
        ..Limits::default()
    };
    let of = |bytes: usize| {
        let fixed = "GET / HTTP/1.1\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(bytes - fixed))
    };
    for piece in [1, 7, 1_000] {
        let (heads, error) = units(of(100).as_bytes(), piece, limits);
        assert_eq!((heads.len(), error), (1, None));
        let (heads, error) = units(of(101).as_bytes(), piece, limits);
        let too_long = RequestError::HeadTooLong { limit: 100 };
        assert_eq!((heads.len(), error), (0, Some(too_long)));
        // Empty lines before a head count as well.
        let (_, error) = units(&b"\r\n".repeat(60), piece, limits);
        assert_eq!(error, Some(too_long));
        let three = b"GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n";
        let (_, error) = units(three, piece, limits);
        assert_eq!(error, Some(RequestError::TooManyHeaders { limit: 2 }));
    }
    assert_eq!(RequestError::TooManyHeaders { limit: 2 }.status(), 431);
    let wide = Limits {
        header_bytes_max: 1 << 20,
        ..Limits::default()
    };
    let target = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(70_000));
    let (_, error) = units(target.as_bytes(), 4096, wide);
    assert_eq!(error.map(|error| error.status()), Some(414));
}
