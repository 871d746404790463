//! The site that is served when no directory is named.

use crate::rig::{Engine, Server, binary, serve};

pub(crate) fn the_welcome_site_needs_no_directory(engine: Engine) {
    let mut command = serve(binary(), engine);
    // Nothing of the directory in which it was started is served.
    command.args(["--workers", "1", "--listen", "127.0.0.1:0"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let server = Server::start(&mut command);
    assert!(
        server.has_logged("serving the welcome page"),
        "{:?}",
        server.log()
    );
    let mut client = server.connect();
    for path in ["/", "/index.html"] {
        let answer = client.get(path);
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.field("content-type"),
            Some("text/html; charset=utf-8")
        );
        let page = String::from_utf8(answer.body).unwrap();
        assert!(page.starts_with("<!doctype html>"), "{page}");
        assert!(page.contains(engine), "the page names its engine");
        assert!(page.contains("downpour serve"), "and what to do next");
        assert!(!page.contains("{{"), "{page}");
    }
    let tag = client.get("/").field("etag").unwrap().to_owned();
    assert_eq!(
        client
            .get_with("/", &format!("If-None-Match: {tag}\r\n"))
            .status,
        304
    );
    assert_eq!(
        client.get("/favicon.svg").field("content-type"),
        Some("image/svg+xml")
    );
    let answer = client.get_with("/hello.txt", "Range: bytes=0-2\r\n");
    assert_eq!((answer.status, answer.body.len()), (206, 3));
    for path in [
        "/Cargo.toml",
        "/src/main.rs",
        "/src",
        "/../Cargo.toml",
        "/none",
    ] {
        let status = client.get(path).status;
        assert!(matches!(status, 404 | 400), "{path}: {status}");
    }
}
