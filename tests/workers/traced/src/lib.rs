//! A Worker and an object that say what they do with `tracing`.

use realgar::{init_tracing, prelude::*, sleep};
use std::time::Duration;
use tracing::{Instrument as _, debug, info, info_span, trace, warn};
use tracing_subscriber::filter::LevelFilter;

#[durable_object]
pub struct Node {
    others: Namespace<Node>,
}

impl DurableObject for Node {
    fn init(cx: &mut Init) -> impl Instantiate<Self> {
        init_tracing(LevelFilter::DEBUG);
        let others = cx.bind(Node::from::<Traced>());
        move |_state: State| {
            let others = others.clone();
            async move { Ok(Node { others }) }
        }
    }
}

#[rpc]
impl Node {
    pub async fn visit(&self, depth: u32) -> Result<u32> {
        let span = info_span!("visiting", depth);
        async {
            sleep(Duration::from_millis(5)).await;
            info!(left = depth, "visited");
            trace!("below the level");
            if depth == 0 {
                return Ok(0);
            }
            let next = self.others.get_by_name(&format!("node-{depth}"));
            Ok(Box::pin(next.visit(depth - 1)).await? + 1)
        }
        .instrument(span)
        .await
    }
}

#[worker(hosts(Node))]
pub struct Traced {
    nodes: Namespace<Node>,
}

impl Worker for Traced {
    fn init(cx: &mut Init) -> Self {
        init_tracing(LevelFilter::DEBUG);
        Traced { nodes: cx.bind(Node::from::<Traced>()) }
    }

    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
        debug!(path = request.path(), "request");
        let depth = self.nodes.get_by_name("first").visit(2).await?;
        warn!(depth, cold = true, ratio = 0.5, "done");
        Ok(Response::ok(depth.to_string())?)
    }
}

realgar::export!(Traced);
