//! Writes to a scratch directory, by the real threads, and what a reader sees of them.

use std::fs;
use std::future::Future;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::*;
use crate::exchange::{BodyFault, request_body};
use crate::handler::files::{Bench, Lane, Seen, seen_answer};
use crate::http::{Field, RequestHead, TargetForm, Version};

mod collections;
mod keys;
mod patching;
mod writing;

/// Wakes the thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        thread::park_timeout(Duration::from_secs(10));
    }
}

/// A writable site: the one that reads it has caches.
struct Scene {
    reader: Bench,
    writer: Writer,
}

/// What writes; each thread may have its own.
#[derive(Clone)]
struct Writer {
    resources: Resources,
    site: Arc<Site>,
    services: FileServices,
}

impl Scene {
    fn new(settings: WriteSettings) -> Scene {
        Scene::of(Bench::directory(), settings)
    }

    fn of(reader: Bench, settings: WriteSettings) -> Scene {
        let (site, services) = reader.site();
        let resources = Resources::open(settings).unwrap();
        let writer = Writer {
            resources,
            site,
            services,
        };
        Scene { reader, writer }
    }

    fn root(&self) -> &Path {
        self.reader.directory.path()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.root().join(name)).unwrap()
    }

    fn put(&self, path: &str, fields: &[(&str, &str)], content: impl AsRef<[u8]>) -> Seen {
        self.writer.ask(Method::Put, path, fields, content.as_ref())
    }

    fn delete(&self, path: &str, fields: &[(&str, &str)]) -> Seen {
        self.writer.ask(Method::Delete, path, fields, b"")
    }

    /// All names below the root, so that nothing unseen is left behind.
    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut rest = vec![self.root().to_owned()];
        while let Some(directory) = rest.pop() {
            // One that is removed meanwhile holds nothing.
            for entry in fs::read_dir(directory).into_iter().flatten() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(self.root()).unwrap();
                names.push(name.to_str().unwrap().to_owned());
                if path.is_dir() {
                    rest.push(path);
                }
            }
        }
        names.sort();
        names
    }

    /// The same, after what was given up has been taken away.
    #[track_caller]
    fn eventually_holds(&self, expected: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.names() != expected {
            assert!(Instant::now() < deadline, "{:?}", self.names());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Writer {
    fn ask(&self, method: Method, path: &str, fields: &[(&str, &str)], content: &[u8]) -> Seen {
        self.ask_as(None, method, path, fields, content)
    }

    fn ask_as(
        &self,
        user: Option<&str>,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
        content: &[u8],
    ) -> Seen {
        let body = RequestBody::whole(content);
        let write = self.request(user, method, path, fields, body);
        seen_answer(&block_on(self.resources.write(write)), Lane::Slow)
    }

    fn request(
        &self,
        user: Option<&str>,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
        body: RequestBody,
    ) -> Write {
        let list: Vec<Field<'_>> = fields
            .iter()
            .map(|(name, value)| Field {
                name,
                value: value.as_bytes(),
            })
            .collect();
        let head = RequestHead {
            method,
            version: Version::Http11,
            form: TargetForm::Origin,
            path: path.as_bytes(),
            query: None,
            authority: Some(b"a.example"),
            fields: Fields::new(&list),
        };
        Write {
            head: OwnedRequestHead::new(&head),
            body,
            user: user.map(Arc::from),
            site: Arc::clone(&self.site),
            services: self.services.clone(),
        }
    }
}
