//! Every error that a library can return, as the command line shows it: message, causes, and what to do. The texts are in
//! `tests/errors.txt`. After a change that is meant, `REALGAR_BLESS=1` writes them anew.

use super::CommandError;
use crate::output;
use realgar_bundle::BuildError;
use realgar_cloudflare::{CredentialsError, DeclareError, remedies};
use realgar_edge::EdgeError;
use realgar_engine::{
    ApplyError, DataError, Event, Failure, FailureKind, Fqn, Holder, Lease, PlanError, ProgramError, Reference, Row,
    RowError, Stack, StoreError,
};
use realgar_wire::{DeclarationError, HistoryError, ManifestError};
use std::{collections::BTreeMap, fs, io, path::PathBuf};

const SNAPSHOTS: &str = "tests/errors.txt";

/// The enums, and where their variants are declared.
const ENUMS: [(&str, &str); 11] = [
    ("ApplyError", "deploy/engine/src/apply.rs"),
    ("BuildError", "deploy/bundle/src/error.rs"),
    ("DataError", "deploy/engine/src/data.rs"),
    ("DeclarationError", "wire/src/check.rs"),
    ("DeclareError", "deploy/cloudflare/src/declare.rs"),
    ("EdgeError", "deploy/edge/src/error.rs"),
    ("HistoryError", "wire/src/lifecycle.rs"),
    ("ManifestError", "wire/src/manifest.rs"),
    ("PlanError", "deploy/engine/src/plan.rs"),
    ("ProgramError", "deploy/engine/src/program.rs"),
    ("StoreError", "deploy/engine/src/store.rs"),
];

/// The names of the variants of `of`, as the source declares them.
fn declared(of: &str, path: &str) -> Vec<String> {
    let source = fs::read_to_string(path).unwrap();
    let (_, body) = source.split_once(&format!("pub enum {of} {{\n")).unwrap();
    let (body, _) = body.split_once("\n}\n").unwrap();
    let lines = body.lines().filter_map(|line| line.strip_prefix("    "));
    let names = lines.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
    let end = |line: &str| line.find(|character: char| !character.is_ascii_alphanumeric()).unwrap();
    names.map(|line| format!("{of}::{}", &line[..end(line)])).collect()
}

fn denied() -> io::Error {
    io::ErrorKind::PermissionDenied.into()
}

fn text(text: &str) -> String {
    text.into()
}

fn path(path: &str) -> PathBuf {
    path.into()
}

fn fqn(name: &str) -> Fqn {
    Fqn::new(name).unwrap()
}

fn row_error() -> RowError {
    let event = Event::Effected { fqn: fqn("shop"), attributes: ().into(), effective: ().into() };
    Row::next(None, &event, 1).unwrap_err()
}

/// An error of each variant.
#[expect(clippy::too_many_lines, reason = "a list")]
fn all() -> BTreeMap<String, CommandError> {
    let mut all = BTreeMap::new();
    macro_rules! show {
        ($($of:ident::$name:ident $(($($value:expr),*))? $({$($field:ident: $content:expr),* $(,)?})?;)*) => {
            $({
                let error = $of::$name $(($($value),*))? $({ $($field: $content),* })?;
                all.insert(concat!(stringify!($of), "::", stringify!($name)).to_string(), error.into());
            })*
        };
    }
    show! {
        BuildError::NoWorker { path: path("shop"), reason: text("it has no `cdylib`") };
        BuildError::NotAWorkerCrate { package: text("shop"), reason: text("add `crate-type = [\"cdylib\"]`") };
        BuildError::TwoScripts { package: text("shop"), dependency: text("orders") };
        BuildError::Tool { tool: "node", problem: text("is not installed"), remedy: text("install Node 18 or later") };
        BuildError::ToolFailed { tool: text("cargo build"), status: text("exit status: 101"), output: text("a line\n") };
        BuildError::AsyncInit { status: text("exit status: 101") };
        BuildError::Cancelled;
        BuildError::Version { krate: "worker", found: text("0.6.0"), needed: text("0.7.5") };
        BuildError::InitCallsJavaScript { import: text("Date.now") };
        BuildError::InitPanicked { message: text("index out of bounds") };
        BuildError::InitTooLong { seconds: 10 };
        BuildError::BadProgram { message: text("two bindings are called `DB`") };
        BuildError::BadDeclaration(DeclarationError::QueueName { name: text("a b") });
        BuildError::NoFolder { binding: text("ASSETS"), folder: path("public") };
        BuildError::HistoryDiffers {
            path: path("migrations.toml"), recorded: text("`Cart`"), hosted: text("`Cart` and `Order`"), remedy: text("add a step"),
        };
        BuildError::History { path: path("migrations.toml"), source: HistoryError::TagTwice { tag: text("v1") } };
        BuildError::Manifest { path: path("manifest.json"), source: ManifestError::Schema { found: text("9") } };
        BuildError::Unfit { problems: vec![text("`Cart::add`: the parameter `item` cannot travel as bytes: untagged")] };
        BuildError::NoExport { package: text("shop") };
        BuildError::Unexpected { what: "the module", reason: text("it has no memory") };
        BuildError::Configuration { path: path("wrangler.toml"), reason: text("`main` names no file") };
        BuildError::Io { action: "read", path: path("shop.wasm"), source: denied() };
        EdgeError::Listen { address: ([127, 0, 0, 1], 8787).into(), source: io::ErrorKind::AddrInUse.into() };
        EdgeError::DataInUse { folder: path(".realgar/dev") };
        EdgeError::NoTarget { script: text("web"), binding: text("CARTS"), target: text("shop"), here: text("`web`") };
        EdgeError::Unbound { script: text("web"), binding: text("CARTS"), reason: text("`shop` has no class `Cart`") };
        EdgeError::TwoConsumers { queue: text("jobs"), first: text("shop"), second: text("web") };
        EdgeError::DuplicateScript { name: text("shop") };
        EdgeError::BadScriptName { name: text("a b") };
        EdgeError::RenamedScript { name: text("store") };
        EdgeError::Values { path: path(".dev.vars"), line: 3 };
        EdgeError::NoValue { script: text("shop"), binding: text("API_KEY") };
        EdgeError::Migration { database: text("Events"), reason: text("`0001_a.sql`: no such table: b") };
        EdgeError::NoPort { script: text("shop"), first: 65_535 };
        EdgeError::StartTimeout { seconds: 30, output: text("a line") };
        EdgeError::Refused { output: text("Uncaught Error: broken") };
        EdgeError::Unreadable { path: path("classes.json"), reason: text("it has the schema 9, and this version knows 1") };
        EdgeError::ClassGone { script: text("shop"), class: text("Cart"), objects: 2 };
        EdgeError::ClassOccupied { from: text("shop/Basket"), class: text("Cart"), script: text("shop"), objects: 2 };
        EdgeError::TransferNotTaken { script: text("shop"), class: text("Order"), to: text("orders") };
        EdgeError::TransferNotGiven { script: text("orders"), class: text("Order"), from: text("shop") };
        EdgeError::SharedFolder { folder: path("/tmp") };
        EdgeError::NoAdmin;
        EdgeError::Io { action: "write", path: path("api.json"), source: denied() };
        DeclareError::TwoWorkers(text("shop"));
        DeclareError::NoTarget { script: text("web"), binding: text("CARTS"), target: text("shop") };
        DeclareError::NoValue { what: "the secret", script: text("shop"), binding: text("API_KEY") };
        DeclareError::HalfTransfer { script: text("shop"), class: text("Order"), other: text("orders"), word: "transferred_from" };
        DeclareError::NoPartner { script: text("shop"), class: text("Order"), other: text("orders") };
        DeclareError::NotYet { script: text("shop"), what: text("the binding `KEY` of the type `secrets_store_secret`") };
        DeclareError::Reserved { script: text("shop"), binding: text("CONFIG") };
        DeclareError::NotJson { script: text("shop"), binding: text("CONFIG"), reason: text("EOF while parsing a value") };
        DeclareError::Name(Fqn::new("a//b").unwrap_err());
        DeclareError::Program(ProgramError::NoKind { fqn: fqn("shop"), kind: text("thing") });
        DeclareError::Io { path: path("shop.wasm"), source: denied() };
        PlanError::Program(ProgramError::Missing { fqn: fqn("shop"), missing: fqn("d1/Events") });
        PlanError::Foreign { fqn: fqn("shop"), title: "Worker", name: Some(text("app-shop-prod")) };
        PlanError::OneName { first: fqn("old"), second: fqn("new"), title: "Worker", name: text("precious") };
        PlanError::NotDeployed { fqn: fqn("client"), of: fqn("bank") };
        PlanError::OtherKind { fqn: fqn("shop"), was: text("worker"), is: text("queue") };
        PlanError::Refused { fqn: fqn("d1/Events/migrations"), reason: text("the migration `0001_a.sql` was changed after it ran") };
        PlanError::Cycle(vec![fqn("left"), fqn("right")]);
        PlanError::Row { fqn: fqn("shop"), error: DataError::Malformed(text("[]")) };
        ApplyError::Stale;
        ApplyError::DataLoss(vec![fqn("d1/Events"), fqn("shop")]);
        ApplyError::Breaking(vec![fqn("shop")]);
        ApplyError::Store(StoreError::Fenced(holder()));
        ApplyError::Data { fqn: fqn("shop"), error: DataError::Malformed(text("[]")) };
        StoreError::Held(Lease { token: 1, holder: holder(), since_ms: 0, until_ms: 60_000 });
        StoreError::Fenced(holder());
        StoreError::Unreadable { place: text("shop.json"), reason: text("it has the schema 9, and this version knows 1") };
        StoreError::Locked { path: path(".lock") };
        StoreError::Row(row_error());
        StoreError::Io { action: "write", path: path(".journal"), source: denied() };
    }
    // These are only ever a part of others.
    let program = |error| CommandError::from(PlanError::Program(error));
    let data = |error| program(ProgramError::Data { fqn: fqn("shop"), error });
    let reference = Reference { of: fqn("d1/Events"), attribute: text("id") };
    let history = |source| CommandError::from(BuildError::History { path: path("migrations.toml"), source });
    let manifest = |source| CommandError::from(BuildError::Manifest { path: path("manifest.json"), source });
    let conflict =
        ProgramError::Conflict { fqn: fqn("r2/a"), kinds: ("r2_bucket", "r2_bucket"), paths: vec![text("place")] };
    let (class, tag) = (|| text("Cart"), || text("v2"));
    let more = [
        ("ProgramError::Conflict", program(conflict)),
        ("ProgramError::NoKind", program(ProgramError::NoKind { fqn: fqn("shop"), kind: text("thing") })),
        ("ProgramError::Missing", program(ProgramError::Missing { fqn: fqn("shop"), missing: fqn("d1/Events") })),
        (
            "ProgramError::Statement",
            program(ProgramError::Statement {
                statement: "moved",
                fqn: fqn("r2/old"),
                problem: "the program still has",
            }),
        ),
        ("ProgramError::Data", data(DataError::Malformed(text("[]")))),
        ("ProgramError::Name", program(ProgramError::Name(Fqn::new("").unwrap_err()))),
        ("DataError::Malformed", data(DataError::Malformed(text("[]")))),
        ("DataError::Unknown", data(DataError::Unknown(reference))),
        ("NameError::Stack", Stack::new("a b", "prod").unwrap_err().into()),
        ("NameError::Resource", Fqn::new("a//b").unwrap_err().into()),
        ("HistoryError::Occupied", history(HistoryError::Occupied { tag: tag(), class: class() })),
        ("HistoryError::Missing", history(HistoryError::Missing { tag: tag(), class: class() })),
        ("HistoryError::TagTwice", history(HistoryError::TagTwice { tag: tag() })),
        ("ManifestError::Schema", manifest(ManifestError::Schema { found: text("9") })),
        ("ManifestError::Malformed", manifest(realgar_wire::Manifest::parse("{").unwrap_err())),
        ("CredentialsError", CredentialsError("CLOUDFLARE_API_TOKEN").into()),
    ];
    all.extend(more.map(|(name, error)| (name.to_string(), error)));
    macro_rules! declaration {
        ($($name:ident {$($field:ident: $content:expr),*};)*) => {
            $(
                let error = BuildError::BadDeclaration(DeclarationError::$name { $($field: $content),* });
                all.insert(concat!("DeclarationError::", stringify!($name)).to_string(), error.into());
            )*
        };
    }
    declaration! {
        BindingName { name: text("1a"), kind: text("D1 database") };
        BucketName { name: text("A") };
        QueueName { name: text("a b") };
        ConsumerOption { queue: text("jobs"), option: "max_batch_size", value: 101, least: 1, most: 100 };
        ConsumerTwice { queue: text("jobs") };
        JsonDefault { name: text("CONFIG"), problem: text("EOF while parsing a value") };
        Cron { expression: text("61 * * * *"), problem: text("the minute is 0 to 59") };
        NothingAsked { what: "cron triggers", how: "`Scheduled`, and call `cx.cron(..)`" };
        NothingHandled { what: "cron triggers", how: "`Scheduled`, and call `cx.cron(..)`" };
        EventName { method: text("fetch") };
        ChangedTwice { class: text("Cart") };
        ChangedAndHosted { class: text("Cart") };
        ChangedToNothing { from: text("Basket"), class: text("Cart") };
        TransferredToItself { class: text("Cart"), script: text("shop") };
        TwoHistories { class: text("Cart") };
    }
    for (code, remedy) in remedies() {
        let message = format!("PUT /workers/scripts/shop: some text of Cloudflare's (code {code})");
        let failure = Failure { hints: vec![remedy.into()], ..Failure::new(FailureKind::Refused, message) };
        all.insert(format!("code {code}"), failure.into());
    }
    all
}

fn holder() -> Holder {
    Holder { user: text("ada"), host: text("laptop"), machine: text("1"), process: 42 }
}

#[test]
fn every_error_says_what_why_and_what_to_do() {
    let all = all();
    let missing: Vec<String> =
        ENUMS.iter().flat_map(|(of, path)| declared(of, path)).filter(|name| !all.contains_key(name)).collect();
    assert!(missing.is_empty(), "no example of {missing:?}");
    let shown: String = all
        .iter()
        .map(|(name, error)| format!("== {name}, exit code {}\n{}\n", error.code(), output::describe(error)))
        .collect();
    if std::env::var_os("REALGAR_BLESS").is_some() {
        fs::write(SNAPSHOTS, &shown).unwrap();
    }
    let kept = fs::read_to_string(SNAPSHOTS).unwrap();
    for (kept, shown) in kept.split("== ").zip(shown.split("== ")) {
        assert_eq!(kept, shown, "if the change is meant, REALGAR_BLESS=1 writes it to {SNAPSHOTS}");
    }
    assert_eq!(kept, shown);
}
