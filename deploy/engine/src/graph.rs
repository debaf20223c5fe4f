//! What has to wait for what.

use std::collections::{BTreeMap, BTreeSet};

/// Nodes, with those that each waits for. All orders that come out are functions of the nodes alone.
#[derive(Clone, Debug)]
pub(crate) struct Graph<Node> {
    /// The nodes that are left, with those that each still waits for.
    waits: BTreeMap<Node, BTreeSet<Node>>,
    /// The nodes that wait for each.
    waiting: BTreeMap<Node, Vec<Node>>,
    ready: BTreeSet<Node>,
}

impl<Node> Default for Graph<Node> {
    fn default() -> Self {
        Self { waits: BTreeMap::new(), waiting: BTreeMap::new(), ready: BTreeSet::new() }
    }
}

impl<Node: Ord + Clone> Graph<Node> {
    /// Adds a node, and the nodes that it waits for. Those have to be added too, before or after.
    pub(crate) fn add(&mut self, node: Node, waits: BTreeSet<Node>) {
        for other in &waits {
            self.waiting.entry(other.clone()).or_default().push(node.clone());
        }
        if waits.is_empty() {
            self.ready.insert(node.clone());
        }
        self.waits.insert(node, waits);
    }

    /// Takes out the first node that waits for nothing.
    pub(crate) fn take(&mut self) -> Option<Node> {
        let node = self.ready.pop_first()?;
        self.waits.remove(&node);
        Some(node)
    }

    /// Lets nobody wait for `node` any more.
    pub(crate) fn done(&mut self, node: &Node) {
        for other in self.waiting.remove(node).unwrap_or_default() {
            if let Some(waits) = self.waits.get_mut(&other) {
                waits.remove(node);
                if waits.is_empty() {
                    self.ready.insert(other);
                }
            }
        }
    }

    /// Takes out all nodes that wait for nothing, or for nothing but others that are taken out.
    pub(crate) fn take_ready(&mut self) -> Vec<Node> {
        let mut taken = Vec::new();
        while let Some(node) = self.take() {
            self.done(&node);
            taken.push(node);
        }
        taken
    }

    /// Lets `node` wait for nothing.
    pub(crate) fn release(&mut self, node: &Node) {
        if let Some(waits) = self.waits.get_mut(node) {
            waits.clear();
            self.ready.insert(node.clone());
        }
    }

    /// Takes out all nodes that wait for `node`, directly or not.
    pub(crate) fn take_waiting(&mut self, node: &Node) -> Vec<Node> {
        let (mut open, mut taken) = (vec![node.clone()], Vec::new());
        while let Some(node) = open.pop() {
            for other in self.waiting.remove(&node).unwrap_or_default() {
                if self.waits.remove(&other).is_some() {
                    self.ready.remove(&other);
                    taken.push(other.clone());
                    open.push(other);
                }
            }
        }
        taken
    }

    /// Nodes each of which waits for the next one, and the last for the first. `None` if no nodes do.
    pub(crate) fn cycle(&self) -> Option<Vec<Node>> {
        if !self.ready.is_empty() {
            return None;
        }
        // All that are left wait for another that is left. So this comes back to where it was.
        let mut path: Vec<&Node> = vec![self.waits.keys().next()?];
        loop {
            let next = self.waits.get(path.last()?)?.first()?;
            if let Some(start) = path.iter().position(|node| *node == next) {
                return Some(path[start..].iter().map(|node| (*node).clone()).collect());
            }
            path.push(next);
        }
    }

    /// The nodes that are left.
    pub(crate) fn left(&self) -> impl Iterator<Item = &Node> {
        self.waits.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(u8, &[u8])]) -> Graph<u8> {
        let mut graph = Graph::default();
        edges.iter().for_each(|(node, waits)| graph.add(*node, waits.iter().copied().collect()));
        graph
    }

    #[test]
    fn each_node_comes_after_those_that_it_waits_for() {
        let mut graph = graph(&[(1, &[3]), (2, &[]), (3, &[2]), (4, &[1, 2])]);
        assert_eq!(graph.take_ready(), [2, 3, 1, 4]);
        assert_eq!(graph.cycle(), None);
    }

    #[test]
    fn a_cycle_is_found_behind_what_only_waits_for_it() {
        let mut graph = graph(&[(1, &[3]), (2, &[5]), (3, &[4]), (4, &[3]), (5, &[])]);
        assert_eq!(graph.take_ready(), [5, 2]);
        assert_eq!(graph.cycle(), Some(vec![3, 4]));
        graph.release(&3);
        assert_eq!(graph.take_ready(), [3, 1, 4]);
    }

    #[test]
    fn what_waits_for_one_is_taken_out_with_it() {
        let mut graph = graph(&[(1, &[]), (2, &[1]), (3, &[2]), (4, &[])]);
        assert_eq!(graph.take(), Some(1));
        assert_eq!(graph.take_waiting(&1), [2, 3]);
        assert_eq!(graph.left().collect::<Vec<_>>(), [&4]);
    }
}
