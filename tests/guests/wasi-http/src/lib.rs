//! Serves plain HTTP by WASI's interface, `wasi:http/incoming-handler`, beside its sockets; `README.md` beside the workspace lists the
//! paths. Messages are sent back.

use std::io::{self, Write};

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingRequest, Method, OutgoingBody, OutgoingRequest, OutgoingResponse,
    ResponseOutparam, Scheme,
};
use wsrun_guest::{Connection, Handler, Message, handler, host, topics};

const PAGE: &[u8] = b"<!doctype html><title>wasi</title><p>by wasi:http\n";
const PIECE_BYTES: usize = 1000;
/// More than the host holds back.
const PIECES_THAT_ARE_SENT: usize = 100;

#[derive(Default)]
struct WasiHttp;

#[handler]
impl Handler for WasiHttp {
    fn received(&mut self, connection: Connection, message: Message) {
        let _ = connection.send(&message);
    }
}

wasip2::http::proxy::export!(WasiHttp);

impl Guest for WasiHttp {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        match (request.method(), path) {
            (Method::Get, "/") => {
                respond(answer, 200, "text/html", |body| body.write_all(PAGE));
            }
            (Method::Post, "/echo") => {
                respond(answer, 200, "application/octet-stream", |body| {
                    echo(&request, body)
                });
            }
            (Method::Post, "/broadcast") => {
                broadcast(&request);
                respond(answer, 202, "text/plain", |_| Ok(()));
            }
            (Method::Post, "/broadcast-then-trap") => {
                broadcast(&request);
                respond(answer, 202, "text/plain", |_| Ok(()));
                panic!("asked to trap")
            }
            (Method::Get, "/count") => {
                let count = host::connection_count().to_string();
                respond(answer, 200, "text/plain", |body| {
                    body.write_all(count.as_bytes())
                });
            }
            (Method::Get, "/fetch") => {
                let error = fetch();
                respond(answer, 200, "text/plain", |body| {
                    body.write_all(error.as_bytes())
                });
            }
            (Method::Get, "/stream-then-trap") => {
                respond(answer, 200, "text/plain", |body| {
                    // Enough that the beginning is sent.
                    stream(PIECES_THAT_ARE_SENT * PIECE_BYTES, body)?;
                    panic!("asked to trap")
                });
            }
            (Method::Get, "/nothing") => drop(answer),
            (_, "/loop") => loop {
                std::hint::black_box(());
            },
            (_, "/trap" | "/header/trap") => panic!("asked to trap"),
            (Method::Get, path) => match path.strip_prefix("/stream/").map(str::parse) {
                Some(Ok(bytes)) => respond(answer, 200, "text/plain", |body| stream(bytes, body)),
                Some(Err(_)) => {
                    let error = ErrorCode::InternalError(Some("not a number".to_owned()));
                    ResponseOutparam::set(answer, Err(error));
                }
                None => not_found(answer),
            },
            _ => not_found(answer),
        }
    }
}

fn not_found(answer: ResponseOutparam) {
    respond(answer, 404, "text/plain", |body| {
        body.write_all(b"not found\n")
    });
}

/// Sends the head first: the body is written while the peer reads it.
fn respond(
    answer: ResponseOutparam,
    status: u16,
    content_type: &str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) {
    let headers = [("content-type".to_owned(), content_type.as_bytes().to_vec())];
    let headers = Fields::from_list(&headers).expect("a valid header");
    let response = OutgoingResponse::new(headers);
    response.set_status_code(status).expect("a valid status");
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(answer, Ok(response));
    let mut stream = body.write().expect("the stream is taken once");
    let written = write(&mut stream).and_then(|()| Write::flush(&mut stream));
    drop(stream);
    match written {
        Ok(()) => OutgoingBody::finish(body, None).expect("a body of no announced length ends"),
        // The peer is gone, or sent less than it said; a body that is dropped is not whole.
        Err(error) => eprintln!("the body was not written: {error}"),
    }
}

fn broadcast(request: &IncomingRequest) {
    let mut bytes = Vec::new();
    echo(request, &mut bytes).expect("the body is there");
    let text = String::from_utf8(bytes).expect("the body is text");
    topics::broadcast(&text).expect("there is room");
}

/// The error of a request to somewhere else.
fn fetch() -> String {
    let request = OutgoingRequest::new(Fields::new());
    request
        .set_scheme(Some(&Scheme::Http))
        .expect("a valid scheme");
    request
        .set_authority(Some("127.0.0.1:9"))
        .expect("a valid authority");
    request
        .set_path_with_query(Some("/"))
        .expect("a valid path");
    let response = match outgoing_handler::handle(request, None) {
        Ok(response) => response,
        Err(error) => return format!("{error:?}"),
    };
    response.subscribe().block();
    match response.get() {
        Some(Ok(Err(error))) => format!("{error:?}"),
        other => format!("no error: {other:?}"),
    }
}

fn echo(request: &IncomingRequest, body: &mut dyn Write) -> io::Result<()> {
    let incoming = request.consume().expect("the body is taken once");
    let mut stream = incoming.stream().expect("the stream is taken once");
    io::copy(&mut stream, body)?;
    Ok(())
}

fn stream(bytes: usize, body: &mut dyn Write) -> io::Result<()> {
    let piece = [b's'; PIECE_BYTES];
    let mut left = bytes;
    while left > 0 {
        let length = left.min(PIECE_BYTES);
        body.write_all(&piece[..length])?;
        body.flush()?;
        left -= length;
    }
    Ok(())
}
