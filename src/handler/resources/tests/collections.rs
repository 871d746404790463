//! GET of collections.

use super::*;
use crate::handler::files::{SETTINGS, plain_settings};
use crate::watch::Watch;

fn get(scene: &Scene, target: &str, fields: &[(&str, &str)]) -> Option<Seen> {
    let writer = &scene.writer;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let list: Vec<Field<'_>> = fields
        .iter()
        .map(|(name, value)| Field {
            name,
            value: value.as_bytes(),
        })
        .collect();
    let head = RequestHead {
        method: Method::Get,
        version: Version::Http11,
        form: TargetForm::Origin,
        path: path.as_bytes(),
        query: Some(query.as_bytes()),
        authority: Some(b"a.example"),
        fields: Fields::new(&list),
    };
    let head = OwnedRequestHead::new(&head);
    let (site, services) = (Arc::clone(&writer.site), writer.services.clone());
    let answer = block_on(writer.resources.list(head, site, services))?;
    Some(seen_answer(&answer, Lane::Slow))
}

fn names(seen: &Seen) -> Vec<String> {
    let members: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
    let members = members.as_array().unwrap().iter();
    members
        .map(|member| member["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn members_are_listed_with_what_get_says_of_them() {
    let mut scene = Scene::new(WriteSettings::default());
    let put = scene.put("/n/b%20%22.json", &[], "{}");
    scene.put("/n/sub/x", &[], "x");
    fs::write(scene.root().join("n/.hidden"), "").unwrap();
    fs::write(scene.root().join("n/.downpour.1.tmp"), "").unwrap();
    symlink("sub", scene.root().join("n/link")).unwrap();
    let seen = get(&scene, "/n/", &[]).unwrap();
    assert_eq!(seen.field("Content-Type"), Some("application/json"));
    let members: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(members.as_array().unwrap().len(), 2);
    assert_eq!(members[0]["href"], "/n/b%20%22.json");
    assert_eq!(members[0]["name"], "b \".json");
    assert_eq!(members[0]["size"], 2);
    assert_eq!(members[0]["etag"].as_str(), put.field("ETag"));
    assert!(members[0]["modified"].as_str().unwrap().ends_with('Z'));
    assert_eq!(members[1]["href"], "/n/sub/");
    assert_eq!(members[1].get("etag"), None);
    let got = scene.reader.get(members[0]["href"].as_str().unwrap());
    assert_eq!(got.body, b"{}");
    let etag = seen.field("ETag").unwrap().to_owned();
    let again = get(&scene, "/n/", &[("If-None-Match", &etag)]).unwrap();
    assert_eq!(again.status, Status::NOT_MODIFIED);
    scene.delete("/n/b%20%22.json", &[]);
    let again = get(&scene, "/n/", &[("If-None-Match", &etag)]).unwrap();
    assert_eq!(names(&again), ["sub"]);
}

#[test]
fn pages_lead_through_all_members_once() {
    let scene = Scene::new(WriteSettings::default());
    let mut expected: Vec<String> = (0..25).map(|number| format!("a&b +{number:02}")).collect();
    for name in &expected {
        fs::write(scene.root().join(name), "").unwrap();
    }
    expected.sort();
    let (mut target, mut all) = ("/?limit=10".to_owned(), Vec::new());
    for page in 0.. {
        let seen = get(&scene, &target, &[]).unwrap();
        all.extend(names(&seen));
        let Some(link) = seen.field("Link") else {
            assert_eq!(page, 2);
            break;
        };
        let next = link.strip_prefix('<').unwrap();
        target = next.strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    }
    assert_eq!(all, expected);
    assert_eq!(get(&scene, "/?limit=25", &[]).unwrap().field("Link"), None);
    assert_eq!(
        get(&scene, "/?limit=x", &[]).unwrap().status,
        Status::BAD_REQUEST
    );
    assert!(names(&get(&scene, "/?after=z", &[]).unwrap()).is_empty());
}

#[test]
fn what_has_a_page_of_its_own_is_not_listed() {
    let scene = Scene::new(WriteSettings::default());
    scene.put("/a/index.html", &[], "x");
    scene.put("/b/c", &[], "x");
    for path in ["/a/", "/b/c/", "/b", "/x/", "/.git/", "/../"] {
        assert!(get(&scene, path, &[]).is_none(), "{path}");
    }
    let site = |root: &Path| {
        let mut settings = plain_settings(root);
        settings.listing = Some(Default::default());
        Site::open(0, settings, &Watch::off()).unwrap()
    };
    let scene = Scene::of(Bench::new(site, SETTINGS), WriteSettings::default());
    assert!(get(&scene, "/", &[("Accept", "text/html,*/*;q=0.8")]).is_none());
    assert!(get(&scene, "/?format=json", &[("Accept", "application/json")]).is_none());
    assert!(get(&scene, "/", &[("Accept", "application/json")]).is_some());
}
