//! Every shader with both preludes: valid for naga, translated to what Vulkan, Metal and DX12 take, within WebGPU's limits.
#![allow(missing_docs, reason = "tests")]
#![cfg(feature = "gpu")]

use naga::{
    AddressSpace, Module, ShaderStage,
    back::{hlsl, msl, spv},
    proc::Layouter,
    valid::{Capabilities, ModuleInfo, ValidationFlags, Validator},
};
use trishade::{
    device::gpu::{Path, Prelude},
    kernels::{Shader, shaders},
};

fn each(mut body: impl FnMut(&str, &Shader, Module, ModuleInfo)) {
    for (prelude, capabilities) in [(Prelude::Limbs, Capabilities::empty()), (Prelude::Native, Capabilities::SHADER_INT64)] {
        let paths = |shader: &Shader| match shader.product {
            false => vec![None],
            true => Path::ALL.into_iter().filter(|path| path.suits(prelude)).map(Some).collect(),
        };
        for (shader, path) in shaders().iter().flat_map(|shader| paths(shader).into_iter().map(move |path| (shader, path))) {
            let name = format!("{} {prelude:?} {path:?}", shader.name);
            let text = [path.map_or(String::new(), Path::text), prelude.wgsl(), shader.wgsl.clone()].concat();
            let module = naga::front::wgsl::parse_str(&text).unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&text)));
            let info = Validator::new(ValidationFlags::all(), capabilities).validate(&module);
            body(&name, shader, module, info.unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&text))));
        }
    }
}

#[test]
fn shaders_are_translated_for_every_backend() {
    each(|name, shader, module, info| {
        let entry = Some((ShaderStage::Compute, shader.name.clone()));
        let options = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: shader.name.clone() };
        let words = spv::write_vec(&module, &info, &spv::Options::default(), Some(&options));
        assert!(!words.unwrap_or_else(|e| panic!("{name}: {e}")).is_empty());

        let options = msl::Options { lang_version: (2, 4), ..Default::default() };
        let pipeline = msl::PipelineOptions { entry_point: entry.clone(), ..Default::default() };
        let (text, _) = msl::write_string(&module, &info, &options, &pipeline).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(text.contains("kernel"), "{name}");

        let options = hlsl::Options { shader_model: hlsl::ShaderModel::V6_0, ..Default::default() };
        let pipeline = hlsl::PipelineOptions { entry_point: entry };
        let mut text = String::new();
        hlsl::Writer::new(&mut text, &options, &pipeline).write(&module, &info, None).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(text.contains("numthreads"), "{name}");
    });
}

#[test]
fn uniforms_are_as_long_as_their_structs() {
    each(|name, shader, module, info| {
        let mut layouter = Layouter::default();
        layouter.update(module.to_ctx()).unwrap();
        let entry = module.entry_points.iter().position(|entry| entry.name == shader.name).unwrap();
        let used = module.global_variables.iter().filter(|(handle, _)| !info.get_entry_point(entry)[*handle].is_empty());
        let uniforms = used.filter(|(_, g)| g.space == AddressSpace::Uniform);
        let sizes: Vec<usize> = uniforms.map(|(_, g)| layouter[g.ty].size as usize).collect();
        assert_eq!(sizes, [shader.params], "{name}");
    });
}

#[test]
fn shaders_stay_within_the_limits_of_webgpu() {
    each(|name, shader, module, info| {
        let entry = module.entry_points.iter().position(|entry| entry.name == shader.name).unwrap();
        let used = module.global_variables.iter().filter(|(handle, _)| !info.get_entry_point(entry)[*handle].is_empty());
        let mut bindings: Vec<u32> = used.filter_map(|(_, g)| g.binding).map(|binding| binding.binding).collect();
        bindings.sort_unstable();
        assert_eq!(bindings, (0..bindings.len() as u32).collect::<Vec<_>>(), "{name}: parameters, inputs, outputs without a gap");
        assert!(bindings.len() <= 9, "{name}: eight storage buffers and the parameters");
        assert_eq!(module.entry_points[entry].workgroup_size, [64, 1, 1], "{name}");
        let mut layouter = Layouter::default();
        layouter.update(module.to_ctx()).unwrap();
        let workgroup = module.global_variables.iter().filter(|(_, g)| g.space == AddressSpace::WorkGroup);
        let bytes: u32 = workgroup.map(|(_, g)| layouter[g.ty].size).sum();
        assert!(bytes <= 16 << 10, "{name}: {bytes} bytes of workgroup memory");
        assert_eq!(bytes > 0, name.contains("staged"), "{name}");
    });
}
