//! The command line.
use realgar_bundle::*;
use realgar_edge::*;
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let release = std::env::args().nth(2).is_some();
    let b = build(&BuildOptions{path: path.into(), profile: if release {Profile::Release} else {Profile::Dev}, builder: Builder::Realgar, color:false}, &mut |p| println!("{p:?}")).map_err(|e| println!("{e}")).unwrap();
    println!("{:?}", b.size());
    let t = node_tools(&mut |p| println!("{p:?}")).unwrap();
    let e = Edge::start(vec![Script{folder:b.folder,manifest:b.manifest}], EdgeOptions{workerd:t.workerd,data:"/tmp/edge".into(),port:Some(8787),log:std::sync::Arc::new(|l| println!("{l:?}"))});
    match e { Ok(e) => { println!("{:?}", e.url("counter")); std::thread::sleep(std::time::Duration::from_secs(3600)); }, Err(e) => println!("{e}") }
}
