//! Real clients that are not ours: Python `websockets`, npm `ws`, Chromium; each over ws and wss.

use std::fs;
use std::path::PathBuf;

use wsrun_tests::certificate::Certificate;
use wsrun_tests::environment;
use wsrun_tests::handlers;
use wsrun_tests::server::{Builder, Server};

fn server() -> Builder {
    Server::of(handlers::probe())
        .arg("--protocol")
        .arg(format!("ask={}", handlers::probe().display()))
}

/// A folder with a certificate, and with a page to be served.
fn folder() -> (tempfile::TempDir, Certificate, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::write_to(folder.path());
    let site = folder.path().join("site");
    fs::create_dir(&site).expect("the folder can be written");
    fs::write(
        site.join("index.html"),
        "<!doctype html><title>interop</title>",
    )
    .expect("the folder can be written");
    (folder, certificate, site)
}

fn with_tls(builder: Builder, certificate: &Certificate) -> Builder {
    builder
        .arg("--tls-cert")
        .arg(&certificate.certificate_file)
        .arg("--tls-key")
        .arg(&certificate.key_file)
}

#[test]
fn python_websockets_passes_over_ws() {
    let server = server().start();
    let mut client = environment::python();
    client
        .arg(handlers::source("tests/interop/websockets_client.py"))
        .arg(server.url(0));
    environment::succeeds(client);
}

#[test]
fn python_websockets_passes_over_wss() {
    let (_folder, certificate, _) = folder();
    let server = with_tls(server(), &certificate).start();
    let mut client = environment::python();
    client
        .arg(handlers::source("tests/interop/websockets_client.py"))
        .arg(server.url(0))
        .arg(&certificate.certificate_file);
    environment::succeeds(client);
}

#[test]
fn npm_ws_passes_over_ws() {
    let server = server().start();
    let mut client = environment::node("ws_client.mjs");
    client.arg(server.url(0));
    environment::succeeds(client);
}

#[test]
fn npm_ws_passes_over_wss() {
    let (_folder, certificate, _) = folder();
    let server = with_tls(server(), &certificate).start();
    let mut client = environment::node("ws_client.mjs");
    client.arg(server.url(0)).arg(&certificate.certificate_file);
    environment::succeeds(client);
}

#[test]
fn npm_ws_passes_with_context_takeover() {
    let server = server().args(["--compression", "dedicated"]).start();
    let mut client = environment::node("ws_client.mjs");
    client.arg(server.url(0));
    environment::succeeds(client);
}

#[test]
fn chromium_passes_over_ws() {
    let (_folder, _, site) = folder();
    let server = server().arg("--static").arg(&site).start();
    let mut client = environment::node("chromium_client.mjs");
    client
        .arg(server.url(0).replacen("ws", "http", 1))
        .arg(server.url(0));
    environment::succeeds(client);
}

#[test]
fn chromium_passes_over_wss() {
    let (_folder, certificate, site) = folder();
    let server = with_tls(server(), &certificate)
        .arg("--static")
        .arg(&site)
        .start();
    let mut client = environment::node("chromium_client.mjs");
    client
        .arg(server.url(0).replacen("ws", "http", 1))
        .arg(server.url(0));
    environment::succeeds(client);
}
