// SPDX-License-Identifier: GPL-2.0-only

//! An interval tree of its own: a treap in an arena, each node augmented with
//! the greatest end of its subtree.

use faultline_portable::interval::Interval;

/// A node's place in the arena.
pub(crate) type Id = u32;
/// No node.
const NIL: Id = Id::MAX;

struct Node<T> {
    start: u64,
    end: u64,
    /// The greatest end in the subtree of this node.
    max_end: u64,
    priority: u32,
    parent: Id,
    /// With the lower and the higher starts.
    children: [Id; 2],
    /// `None` while the node is free.
    value: Option<T>,
}

/// A set of intervals, each with a value.
pub(crate) struct Tree<T> {
    nodes: Vec<Node<T>>,
    free: Vec<Id>,
    root: Id,
    random: u32,
}

impl<T> Tree<T> {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            free: Vec::new(),
            root: NIL,
            random: 0x2545_f491,
        }
    }

    #[inline]
    fn at(&self, id: Id) -> &Node<T> {
        &self.nodes[id as usize]
    }

    #[inline]
    fn at_mut(&mut self, id: Id) -> &mut Node<T> {
        &mut self.nodes[id as usize]
    }

    /// Marsaglia's xorshift.
    fn next_priority(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random
    }

    pub(crate) fn insert(&mut self, interval: Interval, value: T) -> Id {
        let node = Node {
            start: interval.start(),
            end: interval.end(),
            max_end: interval.end(),
            priority: self.next_priority(),
            parent: NIL,
            children: [NIL, NIL],
            value: Some(value),
        };
        let id = match self.free.pop() {
            Some(id) => {
                *self.at_mut(id) = node;
                id
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() as Id - 1
            }
        };
        match self.root {
            NIL => self.root = id,
            _ => self.link(id, interval),
        }
        id
    }

    /// Puts a node below one that has room for it, then up to where its
    /// priority belongs.
    fn link(&mut self, id: Id, interval: Interval) {
        let (mut parent, mut side) = (NIL, 0);
        let mut next = self.root;
        while next != NIL {
            let node = self.at_mut(next);
            node.max_end = node.max_end.max(interval.end());
            side = usize::from(interval.start() >= node.start);
            parent = next;
            next = node.children[side];
        }
        self.at_mut(id).parent = parent;
        self.at_mut(parent).children[side] = id;
        while self.at(id).parent != NIL
            && self.at(self.at(id).parent).priority < self.at(id).priority
        {
            self.rotate_up(id);
        }
    }

    pub(crate) fn remove(&mut self, id: Id) -> Option<T> {
        let only = loop {
            match self.at(id).children {
                [NIL, child] | [child, NIL] => break child,
                [left, right] => {
                    let left_up = self.at(left).priority > self.at(right).priority;
                    self.rotate_up(if left_up { left } else { right });
                }
            }
        };
        let parent = self.at(id).parent;
        if only != NIL {
            self.at_mut(only).parent = parent;
        }
        self.replace_child(parent, id, only);
        let mut up = parent;
        while up != NIL {
            let max_end = self.computed_max_end(up);
            let node = self.at_mut(up);
            if node.max_end == max_end {
                break;
            }
            node.max_end = max_end;
            up = node.parent;
        }
        self.free.push(id);
        self.at_mut(id).value.take()
    }

    fn computed_max_end(&self, id: Id) -> u64 {
        let node = self.at(id);
        let below = node.children.map(|child| match child {
            NIL => 0,
            child => self.at(child).max_end,
        });
        node.end.max(below[0]).max(below[1])
    }

    fn replace_child(&mut self, parent: Id, old: Id, new: Id) {
        match parent {
            NIL => self.root = new,
            parent => {
                let children = &mut self.at_mut(parent).children;
                children[usize::from(children[0] != old)] = new;
            }
        }
    }

    /// Turns a node and its parent around.
    fn rotate_up(&mut self, id: Id) {
        let parent = self.at(id).parent;
        let side = usize::from(self.at(parent).children[0] != id);
        let moved = self.at(id).children[1 - side];
        self.at_mut(parent).children[side] = moved;
        if moved != NIL {
            self.at_mut(moved).parent = parent;
        }
        let above = self.at(parent).parent;
        self.replace_child(above, parent, id);
        let max_end = self.at(parent).max_end;
        let node = self.at_mut(id);
        node.parent = above;
        node.children[1 - side] = parent;
        node.max_end = max_end;
        self.at_mut(parent).parent = id;
        self.at_mut(parent).max_end = self.computed_max_end(parent);
    }

    /// Calls `visit` for the value of each node that overlaps `interval`.
    #[inline]
    pub(crate) fn for_each_overlapping(
        &mut self,
        interval: Interval,
        mut visit: impl FnMut(&mut T),
    ) {
        if self.root != NIL {
            self.visit_below(self.root, interval, &mut visit);
        }
    }

    fn visit_below(&mut self, id: Id, interval: Interval, visit: &mut impl FnMut(&mut T)) {
        let node = self.at(id);
        if node.max_end <= interval.start() {
            return;
        }
        let [left, right] = node.children;
        let (starts_before, ends_behind) =
            (node.start < interval.end(), node.end > interval.start());
        if left != NIL {
            self.visit_below(left, interval, visit);
        }
        if !starts_before {
            return;
        }
        if ends_behind {
            if let Some(value) = &mut self.at_mut(id).value {
                visit(value);
            }
        }
        if right != NIL {
            self.visit_below(right, interval, visit);
        }
    }
}
