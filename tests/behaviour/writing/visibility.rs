//! Whoever asks after the answer to a write sees what was written.

use super::*;
use crate::rig::pattern;

/// Each is answered by one worker; of so many, every worker has some.
const READERS: usize = 8;

fn readers(server: &Server) -> Vec<Client> {
    (0..READERS).map(|_| server.connect()).collect()
}

/// All readers get this, with this entity tag.
#[track_caller]
fn assert_seen(readers: &mut [Client], path: &str, content: &[u8], etag: &str) {
    for reader in readers {
        let answer = reader.get(path);
        assert_eq!(answer.status, 200, "{path}");
        answer.assert_body(content);
        assert_eq!(answer.field("etag"), Some(etag), "{path}");
    }
}

#[track_caller]
fn assert_absent(readers: &mut [Client], path: &str) {
    for reader in readers {
        assert_eq!(reader.get(path).status, 404, "{path}");
    }
}

/// One resource from its creation to its end, over one connection.
fn live(writer: &mut dyn Speaks, readers: &mut [Client], path: &str) {
    assert_absent(readers, path); // Which is remembered.
    assert_eq!(writer.say("DELETE", path, &[], b"").status, 404);
    let created = writer.say("PUT", path, &[], b"one");
    assert_eq!(created.status, 201, "{path}");
    assert_eq!(created.field("location"), Some(path));
    let mut etag = created.field("etag").unwrap().to_owned();
    assert!(etag.starts_with('"'), "{etag} is not strong");
    assert_seen(readers, path, b"one", &etag);
    for round in 0..3 {
        // Of the same length, within the same moment; and the last through a draft.
        let content = match round {
            2 => pattern(LONG, 7),
            _ => format!("two {round}").into_bytes(),
        };
        let replaced = writer.say("PUT", path, &[], &content);
        assert_eq!(replaced.status, 204, "{path}");
        assert_eq!(replaced.field("location"), None);
        let before = std::mem::replace(&mut etag, replaced.field("etag").unwrap().to_owned());
        assert_ne!(before, etag);
        assert_seen(readers, path, &content, &etag);
    }
    assert_eq!(writer.say("DELETE", path, &[], b"").status, 204);
    assert_absent(readers, path);
    assert_eq!(writer.say("DELETE", path, &[], b"").status, 404);
}

/// An index comes into a directory that was not there, is changed, and goes.
fn live_as_index(writer: &mut dyn Speaks, readers: &mut [Client], directory: &str) {
    assert_absent(readers, directory);
    let path = format!("{directory}index.html");
    let created = writer.say("PUT", &path, &[], b"<p>one");
    assert_eq!(created.status, 201, "{path}");
    assert_seen(
        readers,
        directory,
        b"<p>one",
        created.field("etag").unwrap(),
    );
    let replaced = writer.say("PUT", &path, &[], b"<p>two");
    assert_eq!(replaced.status, 204, "{path}");
    assert_seen(
        readers,
        directory,
        b"<p>two",
        replaced.field("etag").unwrap(),
    );
    assert_eq!(writer.say("DELETE", &path, &[], b"").status, 204);
    for reader in &mut *readers {
        let listed = reader.get(directory);
        assert_eq!(listed.field("content-type"), Some("application/json"));
        listed.assert_body(b"[\n]\n");
    }
    assert_eq!(writer.say("DELETE", directory, &[], b"").status, 204);
    assert_absent(readers, directory);
}

/// Whether the disk is watched or not, and over whatever is written.
pub(crate) fn what_is_written_is_seen_at_once_by_every_worker(engine: Engine) {
    for watching in [&[][..], &["--watch", "off"]] {
        let site = Site::new();
        let keys = Keys::new();
        let flags = open_with(&[&["--workers", "2"][..], watching].concat());
        let server = keys.server(engine, &site, &flags);
        let mut readers = readers(&server);
        let before = server.runs_of_threads("worker-");
        for (number, (_, mut writer)) in all_kinds(&keys, &server).into_iter().enumerate() {
            live(&mut *writer, &mut readers, &format!("/notes/{number}"));
            let directory = format!("/notes/in/{number}/");
            live_as_index(&mut *writer, &mut readers, &directory);
        }
        let after = server.runs_of_threads("worker-");
        assert_eq!(after.len(), 2);
        for (before, after) in before.iter().zip(&after) {
            assert!(after > &(before + 20), "a worker that serves nobody");
        }
        assert_left(&server, &site, &["notes/", "notes/in/"]);
    }
}

/// Each is answered before the next one is acted on.
pub(crate) fn requests_that_write_may_be_pipelined(engine: Engine) {
    let site = Site::new();
    let server = Server::of(engine, &site, &OPEN);
    let mut client = server.connect();
    let long = pattern(LONG, 1);
    let put = |content: &[u8]| {
        [
            head("PUT", "/notes/a", &[], content.len()).as_bytes(),
            content,
        ]
        .concat()
    };
    let get = head("GET", "/notes/a", &[], 0).into_bytes();
    let delete = head("DELETE", "/notes/a", &[], 0).into_bytes();
    let chunked = b"PUT /notes/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                    2\r\nth\r\n3\r\nree\r\n0\r\n\r\n";
    let requests = [
        &get[..],
        &put(b"one"),
        &get,
        &put(&long),
        &get,
        chunked,
        &get,
        &delete,
        &get,
        &put(b""),
        &get,
    ];
    let sending = client.send_beside(requests.concat());
    let expected: [(u16, &[u8]); 11] = [
        (404, b""),
        (201, b""),
        (200, b"one"),
        (204, b""),
        (200, &long),
        (204, b""),
        (200, b"three"),
        (204, b""),
        (404, b""),
        (201, b""),
        (200, b""),
    ];
    for (number, (status, body)) in expected.into_iter().enumerate() {
        let answer = client.answer();
        assert_eq!(answer.status, status, "{number}");
        if status == 200 {
            answer.assert_body(body);
        }
    }
    sending.join().unwrap();
    assert!(client.has_nothing_left());
}

/// A form that was made of an earlier state is not taken for one of the present. No form is made of
/// a state that is younger than two seconds, so this is done once.
#[test]
fn made_forms_follow_what_is_written() {
    let site = Site::new();
    let server = Server::of(ENGINE, &site, &open_with(&["--workers", "2"]));
    let mut readers = readers(&server);
    let text = |state: &str| format!("{state} is what all of this says. ").repeat(70);
    let gzip = "Accept-Encoding: gzip\r\n";
    put(&server, "/notes/a.txt", text("old").as_bytes());
    eventually("a form is made", || {
        let answer = readers[0].get_with("/notes/a.txt", gzip);
        answer.field("content-encoding") == Some("gzip")
    });
    // Whoever has seen the form has seen the state that it was made of.
    let seen = readers[0].get_with("/notes/a.txt", gzip);
    let same = [("if-match", seen.field("etag").unwrap())];
    assert_eq!(status(&server, "PUT", "/notes/a.txt", &same, b"next"), 204);
    assert_eq!(status(&server, "PUT", "/notes/a.txt", &same, b"lost"), 412);
    for state in ["new", "newer", "old"] {
        let etag = put(&server, "/notes/a.txt", text(state).as_bytes());
        for reader in &mut readers {
            let answer = reader.get_with("/notes/a.txt", gzip);
            assert_eq!(answer.field("content-encoding"), None);
            assert_eq!(answer.field("etag"), Some(&etag[..]));
            answer.assert_body(text(state).as_bytes());
        }
    }
}
