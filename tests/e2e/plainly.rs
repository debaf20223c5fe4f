//! Deployments of plain Workers that are in no workspace: which stack they belong to, what stays, and two commands at once.

use crate::machine::{Machine, Web, request, verbs};
use serde_json::Value;
use std::{fs, path::PathBuf, process::Stdio};

/// Two plain Workers in a folder outside of every workspace.
struct Yard {
    machine: Machine,
    folder: PathBuf,
}

impl Yard {
    fn new(machine: Machine) -> Self {
        let name = machine.data.file_name().unwrap().to_str().unwrap();
        let folder = std::env::temp_dir().join(format!("realgar-{name}-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        // Some systems have a link in the place of their folder for such.
        let yard = Self { machine, folder: folder.canonicalize().unwrap() };
        for name in ["alpha", "beta"] {
            yard.web(name).set("");
            yard.web(name).write("index.js", &format!("export default {{ fetch: () => new Response({name:?}) }};"));
        }
        yard
    }

    fn web(&self, name: &str) -> Web {
        Web::in_folder(&self.folder, name)
    }

    fn paths(&self) -> [String; 2] {
        ["alpha", "beta"].map(|name| self.folder.join(name).to_str().unwrap().to_string())
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn plain_workers_are_one_stack_in_any_order_and_those_not_named_stay() {
    let yard = Yard::new(Machine::new("yard"));
    let Yard { machine, .. } = &yard;
    let [alpha, beta] = yard.paths();
    machine.deploy(&[&alpha, &beta], &[]).expect(0);
    assert!(verbs(&machine.plan(&[&beta, &alpha])).is_empty(), "in any order");
    // What `dev` keeps in the folder of one is no deployment from there.
    fs::create_dir_all(yard.folder.join("alpha/.realgar/dev")).unwrap();
    // One alone, which binds the other: the other stays.
    let both = [alpha.as_str(), beta.as_str()];
    yard.web("alpha").set("[[services]]\nbinding = \"BETA\"\nservice = \"beta\"\n");
    machine.deploy(&both, &[]).expect(0);
    yard.web("alpha").write("index.js", "export default { fetch: () => new Response(\"new\") };");
    let app = yard.folder.file_name().unwrap().to_str().unwrap().to_string();
    let plan = machine.plan(&[&alpha]);
    assert_eq!((&plan["stack"]["app"], verbs(&plan)), (&Value::from(app), vec![("alpha".into(), "update".into())]));
    let url = machine.deploy(&[&alpha], &[]).expect(0).url("alpha");
    assert_eq!(request("GET", &url).1, "new");
    assert_eq!(machine.tables()["scripts"].as_object().unwrap().len(), 2);
    // It goes when somebody says so.
    yard.web("alpha").set("");
    machine.deploy(&[&alpha], &["--prune"]).expect(0);
    assert_eq!(machine.tables()["scripts"].as_object().unwrap().len(), 1);
    let wrong = machine.run(&["destroy", "--local", "--yes", "--stage", "prdo", &alpha]).expect(0);
    assert!(wrong.err.contains("/dev_ada"), "it names those that exist: {}", wrong.err);
    machine.run(&["destroy", "--local", "--yes", &alpha]).expect(0);
}

#[test]
fn two_first_deployments_at_once_share_one_edge_and_both_end_well() {
    let machine = Machine::without_edge("yard-two");
    let yard = Yard::new(machine);
    let Yard { machine, .. } = &yard;
    let [alpha, beta] = yard.paths();
    let start = |path: &str| {
        let mut command = machine.command(&["deploy", "--local", "--yes", path]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    // Two stacks, and twice the same one.
    for run in [start(&alpha), start(&beta), start(&beta)].map(|child| child.wait_with_output().unwrap()) {
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }
    for path in [&alpha, &beta] {
        assert!(verbs(&machine.plan(&[path])).is_empty());
        machine.run(&["destroy", "--local", "--yes", path]).expect(0);
    }
}

#[test]
fn what_a_plain_worker_names_goes_up_and_nothing_else() {
    let yard = Yard::new(Machine::new("yard-modules"));
    let Yard { machine, .. } = &yard;
    let [alpha, _] = yard.paths();
    let web = yard.web("alpha");
    web.set("[secrets]\nrequired = [\"API_KEY\"]\n");
    web.write(".dev.vars", "API_KEY=two\n");
    web.write(
        "index.js",
        "import text from './lib/text.js';\nexport default { fetch: (_, env) => new Response(text + env.API_KEY) };",
    );
    web.write("lib/text.js", "// don't\nimport note from \"../note.txt\";\nexport default note;");
    web.write("note.txt", "one ");
    web.write("private.txt", "nobody's business");
    web.write("test/index.test.js", "throw new Error();");
    let url = machine.deploy(&[&alpha], &[]).expect(0).url("alpha");
    assert_eq!(request("GET", &url).1, "one two");
    let tables = machine.tables();
    let (name, row) = tables["scripts"].as_object().unwrap().iter().next().unwrap();
    let modules: Vec<&String> = row["modules"].as_object().unwrap().keys().collect();
    assert_eq!(modules, ["index.js", "lib/text.js", "note.txt"]);
    let (_, settings) = machine.rest("GET", &format!("/workers/scripts/{name}/settings"), &Value::Null);
    assert_eq!(settings["result"]["bindings"][0]["name"], "API_KEY", "{settings}");
    for (mistake, said) in [
        (
            "[[kv_namespaces]]\nbinding = \"K\"\nid = \"a\"\n[[r2_buckets]]\nbinding = \"K\"\nbucket_name = \"b\"\n",
            "two bindings are called `K`",
        ),
        ("[triggers]\ncrons = [\"99 * * * *\"]\n", "the cron trigger `99 * * * *`"),
        (
            "[exports.A]\ntype = \"durable-object\"\nstorage = \"sqlite\"\ntransferred_from = \"x\"\n",
            "`exports.A` has `transferred_from`",
        ),
    ] {
        web.set(mistake);
        let refused = machine.deploy(&[&alpha], &[]).expect(1);
        assert!(refused.err.contains(said), "{}", refused.err);
    }
    machine.destroy(&alpha);
}

#[test]
fn code_goes_up_after_the_migrations_that_it_was_written_for() {
    let yard = Yard::new(Machine::new("yard-schema"));
    let Yard { machine, .. } = &yard;
    let [alpha, beta] = yard.paths();
    let database = "[[d1_databases]]\nbinding = \"DB\"\ndatabase_name = \"notes\"\n";
    let web = yard.web("alpha");
    web.set(&format!("{database}migrations_dir = \"migrations\"\n"));
    yard.web("beta").set(database);
    web.write("migrations/0001_a.sql", "CREATE TABLE a (v TEXT);");
    let url = machine.deploy(&[&alpha, &beta], &[]).expect(0).url("beta");
    web.write("migrations/0002_b.sql", "CREATE TABEL b (v TEXT);");
    yard.web("beta").write("index.js", "export default { fetch: () => new Response(\"needs b\") };");
    let failed = machine.deploy(&[&alpha, &beta], &[]).expect(1);
    assert!(
        failed.err.contains("left out") && failed.err.contains("`d1/notes/migrations` comes before it"),
        "{}",
        failed.err
    );
    assert_eq!(request("GET", &url).1, "beta", "the old code stays with the old schema");
    web.write("migrations/0002_b.sql", "CREATE TABLE b (v TEXT);");
    machine.deploy(&[&alpha, &beta], &[]).expect(0);
    assert_eq!(request("GET", &url).1, "needs b");
    // The one that has no migrations of its own finds nothing to do either.
    assert!(verbs(&machine.plan(&[&beta])).is_empty());
    machine.run(&["destroy", "--local", "--yes", "--allow-data-loss=d1/notes", &beta]).expect(0);
}
