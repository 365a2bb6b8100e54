//! Functions local to a model: each call becomes the nodes of the function's body, before anything else is read.

use super::{
    makers::describe,
    schema::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto},
};
use crate::{Error, Result};
use prost::Message;
use std::collections::HashMap;

/// Nodes that calls may become, in all.
const MOST_NODES: usize = 1 << 17;

/// Calls within calls.
const MOST_DEPTH: usize = 64;

/// Bytes of nodes that calls may become, in all: a body may hold constants.
const MOST_BYTES: usize = 1 << 30;

/// The graph of a model without calls of its functions.
pub fn inlined(model: &mut ModelProto) -> Result<Option<GraphProto>> {
    let (functions, opsets) = (std::mem::take(&mut model.functions), std::mem::take(&mut model.opset_import));
    let mut table = HashMap::new();
    for function in &functions {
        if table.insert(key(&function.domain, &function.name, &function.overload), function).is_some() {
            return Err(Error::Model(format!("the function '{}' is there twice", function.name)));
        }
    }
    let graph = model.graph.take();
    if !table.is_empty()
        && let Some(mut graph) = graph
    {
        let mut calls = Calls { functions: table, opsets: &opsets, open: Vec::new(), nodes: 0, bytes: 0 };
        graph.node = calls.expanded(graph.node)?;
        model.opset_import = opsets;
        return Ok(Some(graph));
    }
    model.opset_import = opsets;
    Ok(graph)
}

/// Name of a function with its domain, where ONNX's own has no name.
type Key = (String, String, String);

fn key(domain: &str, name: &str, overload: &str) -> Key {
    let domain = if domain == "ai.onnx" { "" } else { domain };
    (domain.into(), name.into(), overload.into())
}

/// Calls of functions on the way to plain nodes.
struct Calls<'a> {
    functions: HashMap<Key, &'a FunctionProto>,
    opsets: &'a [OperatorSetIdProto],
    /// Functions whose bodies are being read.
    open: Vec<Key>,
    nodes: usize,
    bytes: usize,
}

impl Calls<'_> {
    fn expanded(&mut self, nodes: Vec<NodeProto>) -> Result<Vec<NodeProto>> {
        let mut plain = Vec::with_capacity(nodes.len());
        for (i, mut node) in nodes.into_iter().enumerate() {
            let name = key(&node.domain, &node.op_type, &node.overload);
            if let Some(function) = self.functions.get(&name).copied() {
                let inside = |e| if let Error::Model(what) = e { Error::Model(format!("{}: {what}", describe(&node, i))) } else { e };
                let body = self.enter(name, function, &node).map_err(inside)?;
                plain.extend(body);
                continue;
            }
            for branch in node.attribute.iter_mut().filter_map(|attribute| attribute.g.as_deref_mut()) {
                branch.node = self.expanded(std::mem::take(&mut branch.node))?;
            }
            plain.push(node);
        }
        Ok(plain)
    }

    /// The nodes that one call becomes.
    fn enter(&mut self, name: Key, function: &FunctionProto, call: &NodeProto) -> Result<Vec<NodeProto>> {
        if self.open.contains(&name) {
            return Err(Error::Model(format!("the function '{}' calls itself", function.name)));
        }
        if self.open.len() == MOST_DEPTH {
            return Err(Error::Model(format!("calls of functions within more than {MOST_DEPTH} others")));
        }
        self.nodes += function.node.len();
        self.bytes += function.encoded_len() + call.encoded_len();
        if self.nodes > MOST_NODES || self.bytes > MOST_BYTES {
            return Err(Error::Model(format!("calls of functions become more than {MOST_NODES} nodes or {MOST_BYTES} bytes")));
        }
        self.same_opsets(function)?;
        let body = Body::new(function, call)?;
        self.open.push(name);
        let plain = self.expanded(body.nodes());
        self.open.pop();
        plain
    }

    /// One version of an operator set serves the whole model.
    fn same_opsets(&self, function: &FunctionProto) -> Result<()> {
        let own = |domain: &str| if domain == "ai.onnx" { String::new() } else { domain.to_owned() };
        for needed in &function.opset_import {
            let there = self.opsets.iter().find(|opset| own(&opset.domain) == own(&needed.domain)).map(|opset| opset.version);
            if let Some(there) = there.filter(|&version| version != needed.version) {
                return Err(Error::Model(format!(
                    "the function '{}' is of operator set {} and the model of {there}: export both with one",
                    function.name, needed.version
                )));
            }
        }
        Ok(())
    }
}

/// The body of a function for one call.
struct Body<'a> {
    function: &'a FunctionProto,
    call: &'a NodeProto,
    /// Names of the caller for names of the body.
    names: HashMap<&'a str, &'a str>,
    /// In front of the body's other names.
    prefix: &'a str,
}

impl<'a> Body<'a> {
    fn new(function: &'a FunctionProto, call: &'a NodeProto) -> Result<Self> {
        let (inputs, outputs) = (&function.input, &function.output);
        if call.input.len() > inputs.len() || call.output.len() > outputs.len() {
            return Err(Error::Model(format!(
                "a call of '{}' with {} inputs and {} outputs; it has {} and {}",
                function.name,
                call.input.len(),
                call.output.len(),
                inputs.len(),
                outputs.len()
            )));
        }
        let known = |name: &str| {
            function.attribute.iter().any(|own| own == name) || function.attribute_proto.iter().any(|default| default.name == name)
        };
        if let Some(other) = call.attribute.iter().find(|attribute| !known(&attribute.name)) {
            return Err(Error::Model(format!("the function '{}' has no attribute '{}'", function.name, other.name)));
        }
        let prefix = call.output.iter().find(|name| !name.is_empty()).ok_or_else(|| Error::Model("the call has no output".into()))?;
        let given = |names: &'a [String], i: usize| names.get(i).map_or("", String::as_str);
        let mut names: HashMap<&str, &str> = HashMap::new();
        for (i, own) in outputs.iter().enumerate().filter(|(i, _)| !given(&call.output, *i).is_empty()) {
            names.insert(own, given(&call.output, i));
        }
        for (i, own) in inputs.iter().enumerate() {
            names.insert(own, given(&call.input, i));
        }
        Ok(Self { function, call, names, prefix })
    }

    fn nodes(&self) -> Vec<NodeProto> {
        let mut nodes: Vec<NodeProto> = self.function.node.iter().map(|node| self.node(node)).collect();
        // an input that is an output as well
        for (own, name) in self.function.output.iter().zip(&self.call.output) {
            if self.function.input.contains(own) && !name.is_empty() {
                let (input, output) = (vec![self.name(own)], vec![name.clone()]);
                nodes.push(NodeProto { input, output, op_type: "Identity".into(), ..NodeProto::default() });
            }
        }
        nodes
    }

    fn name(&self, own: &str) -> String {
        match self.names.get(own) {
            Some(name) => (*name).into(),
            None if own.is_empty() => String::new(),
            None => format!("{}/{own}", self.prefix),
        }
    }

    fn node(&self, node: &NodeProto) -> NodeProto {
        let [input, output] = [&node.input, &node.output].map(|names| names.iter().map(|name| self.name(name)).collect());
        let caller = if self.call.name.is_empty() { &self.call.op_type } else { &self.call.name };
        let name = format!("{caller}/{}", if node.name.is_empty() { &node.op_type } else { &node.name });
        let attribute = node.attribute.iter().filter_map(|attribute| self.attribute(attribute)).collect();
        NodeProto { input, output, name, attribute, ..node.clone() }
    }

    /// An attribute of the body: one that refers to the call's is that, or its default, or none.
    fn attribute(&self, attribute: &AttributeProto) -> Option<AttributeProto> {
        if !attribute.ref_attr_name.is_empty() {
            let mut all = self.call.attribute.iter().chain(&self.function.attribute_proto);
            let given = all.find(|given| given.name == attribute.ref_attr_name)?;
            return Some(AttributeProto { name: attribute.name.clone(), ..given.clone() });
        }
        let g = attribute.g.as_deref().map(|graph| Box::new(self.branch(graph)));
        Some(AttributeProto { g, ..attribute.clone() })
    }

    fn branch(&self, graph: &GraphProto) -> GraphProto {
        let mut branch = graph.clone();
        branch.node = graph.node.iter().map(|node| self.node(node)).collect();
        branch.initializer.iter_mut().for_each(|tensor| tensor.name = self.name(&tensor.name));
        branch.input.iter_mut().chain(&mut branch.output).for_each(|value| value.name = self.name(&value.name));
        branch
    }
}
