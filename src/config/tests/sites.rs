//! Sites and rules of a file: who answers for which host, with which settings.

use super::*;
use crate::route::site::{CleanUrls, TrailingSlash};
use crate::route::try_files::{Try, TryFiles};

#[test]
fn what_stands_above_the_sites_holds_where_they_say_nothing_else() {
    let text = "root = \"www\"\nindex = [\"a.html\"]\nheader = [\"X-A: b\"]\nspa = true\n\
                [[rule]]\npath = \"/a/**\"\nheaders = { X-B = \"c\" }\nredirect = \"/x\"\n\
                [[site]]\nnames = [\"A.Example\"]\ntry = \"$path\"\n\
                [[site]]\nroot = \"app\"\nheader = []\nclean-urls = \"serve\"\n\
                trailing-slash = \"remove\"\nindex = \"b.html\"\n\
                [[site.rule]]\npath = \"/a/*\"\nredirect = \"/y/:splat\"\nstatus = 308\n\
                cache-control = \"immutable\"\nerror-page = { 404 = \"/404.html\" }\n\
                maintenance = true\n";
    let scratch = place(text);
    let (_, config) = check_with(scratch.path(), &["--list"]).unwrap();
    let [one, two] = &config.sites[..] else {
        panic!("{:?}", config.sites);
    };
    assert_eq!(config.default_site, Some(1), "the one without names");
    assert_eq!(one.names, ["a.example"]);
    assert_eq!(one.root, Some(scratch.path().join("www")));
    assert_eq!(two.root, Some(scratch.path().join("app")));
    assert_eq!(one.finding.index_names, ["a.html"]);
    assert_eq!(two.finding.index_names, ["b.html"]);
    assert_eq!(one.finding.try_files.0.len(), 1, "its own --try");
    assert_eq!(two.finding.try_files.0.len(), 3, "--spa of all");
    assert_eq!(two.finding.clean_urls, CleanUrls::Serve);
    assert_eq!(two.finding.trailing_slash, TrailingSlash::Remove);
    assert!(one.listing.is_some() && two.listing.is_some());
    let texts = |rules: &[crate::route::FieldRule]| {
        rules.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let (first, second) = (one.rules.settings(), two.rules.settings());
    assert_eq!(texts(&first.fields), ["X-A: b", "/a/** X-B: c"]);
    assert_eq!(texts(&second.fields), ["/a/** X-B: c"]);
    let redirects: Vec<String> = second.redirects.iter().map(ToString::to_string).collect();
    assert_eq!(
        redirects,
        ["/a/* /y/:splat 308", "/a/* /x"],
        "its own first"
    );
    assert_eq!(second.cache.len() + second.error_pages.len(), 2);
    assert_eq!(second.maintenance.len(), 1);
    assert_eq!(first.maintenance.len(), 0);
}

#[test]
fn careful_sites_say_hsts_over_tls() {
    let tls = "tls-listen = \":443\"\nself-signed = true\n";
    let hsts = |more: &str| {
        let config = check(&format!("{tls}{more}")).unwrap();
        config.tls.unwrap().hsts
    };
    let year = Some("max-age=31536000".to_owned());
    assert_eq!(hsts(""), None);
    assert_eq!(hsts("security-headers = true"), year);
    let said = hsts("security-headers = true\nhsts = \"1h\"");
    assert_eq!(said.as_deref(), Some("max-age=3600"));
    let some = "[[site]]\nsecurity-headers = true\n[[site]]\nnames = \"a\"\n";
    assert_eq!(
        hsts(some),
        None,
        "a host that did not ask may not be able to"
    );
    assert!(check("security-headers = true").unwrap().tls.is_none());
}

#[test]
fn the_example_of_the_guide_is_right() {
    let config = check(&example()).unwrap();
    assert_eq!(config.sites.len(), 2);
    assert_eq!(config.default_site, None);
    assert!(config.tls.unwrap().hsts.is_some(), "security-headers");
    let rules = config.sites[0].rules.settings();
    assert_eq!((rules.redirects.len(), rules.fields.len()), (1, 3));
}

#[test]
fn a_site_wins_over_flags_that_are_for_all() {
    let scratch = place("[[site]]\nroot = \"www\"\nspa = true\n[[site]]\nnames = \"b\"\n");
    let root = scratch.path().join("app");
    let words = [root.to_str().unwrap(), "--try", "$path =410"];
    let (_, config) = check_with(scratch.path(), &words).unwrap();
    let last = |index: usize| config.sites[index].finding.try_files.0.last().cloned();
    assert_eq!(last(0), Some(Try::File("index.html".to_owned())));
    assert_eq!(last(1), Some(Try::Status(410)));
    assert_eq!(config.sites[0].root, Some(scratch.path().join("www")));
    assert_eq!(config.sites[1].root, Some(root));
}

#[test]
fn an_application_of_all_sites_can_be_switched_off_in_one() {
    let tries = |text: &str| {
        let site = check(text).unwrap().sites.remove(0);
        site.finding.try_files.0
    };
    let text = "try = \"$path =410\"\n[[site]]\nspa = false\n";
    assert_eq!(tries(text).last(), Some(&Try::Status(410)));
    let text = "spa = true\n[[site]]\nspa = false\n";
    assert_eq!(tries(text), TryFiles::default().0);
}

/// Of redirects the first that fits counts: a site's own, those of all, those of flags, each as
/// they stand. Of fields the last: the other way round, but each as they stand, too.
#[test]
fn rules_keep_the_order_of_the_file() {
    let rule = |of: &str, from: &str| {
        format!(
            "[[{of}]]\npath = \"{from}\"\nredirect = [\"/x\", \"/y\"]\nrewrite = \"/z\"\n\
             header = \"A: {from}\"\n"
        )
    };
    let text = [
        "redirect = [\"/f1 /x\", \"/f2 /x\"]\nheader = \"A: flag\"\n",
        &rule("rule", "/a1"),
        &rule("rule", "/a2"),
        "[[site]]\n",
        &rule("site.rule", "/s1"),
        &rule("site.rule", "/s2"),
        "[[site]]\nnames = \"b\"\n",
    ];
    let sites = check(&text.concat()).unwrap().sites;
    let redirects = |index: usize| {
        let redirects = sites[index].rules.settings().redirects.iter();
        redirects.map(ToString::to_string).collect::<Vec<_>>()
    };
    let (own, all) = (
        ["/s1 /x", "/s1 /y", "/s2 /x", "/s2 /y"],
        ["/a1 /x", "/a1 /y", "/a2 /x", "/a2 /y", "/f1 /x", "/f2 /x"],
    );
    let sends = 10;
    assert_eq!(redirects(0)[..sends], [&own[..], &all[..]].concat());
    let targets = redirects(0)[sends..].to_vec();
    let from: Vec<&str> = targets.iter().map(|rule| &rule[..3]).collect();
    assert_eq!(from, ["/s1", "/s2", "/a1", "/a2"], "rewrites");
    assert_eq!(redirects(1)[..all.len()], all);
    let fields = sites[0].rules.settings().fields.iter();
    assert_eq!(
        fields.map(ToString::to_string).collect::<Vec<_>>(),
        [
            "A: flag",
            "/a1 A: /a1",
            "/a2 A: /a2",
            "/s1 A: /s1",
            "/s2 A: /s2"
        ]
    );
}
