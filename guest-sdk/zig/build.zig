//! Builds handlers: see `addHandler`.

const std = @import("std");

pub const Options = struct {
    /// The component becomes `dist/NAME.wasm`.
    name: []const u8,
    root_source_file: std.Build.LazyPath,
    /// Modules that the handler imports, beside `wsrun`.
    imports: []const std.Build.Module.Import = &.{},
};

/// Adds a handler to what `zig build` makes. `wsrun` makes a component of what the compiler writes; it is found in PATH, or at -Dwsrun.
pub fn addHandler(b: *std.Build, options: Options) void {
    const optimize = b.option(std.lang.Optimize, "optimize", "How to optimise (default: safe)") orelse .safe;
    const wsrun = b.option([]const u8, "wsrun", "The program wsrun (default: the one in PATH)") orelse
        b.findProgram(.{ .names = &.{"wsrun"} }) orelse {
        std.log.err("wsrun is not in PATH: it makes a component of what the compiler writes. Say where it is with -Dwsrun=FILE", .{});
        std.process.exit(1);
    };
    const target = b.resolveTargetQuery(.{ .cpu_arch = .wasm32, .os_tag = .freestanding });
    const module = b.createModule(.{
        .root_source_file = options.root_source_file,
        .target = target,
        .optimize = optimize,
        .strip = optimize != .debug,
        .imports = options.imports,
    });
    module.addImport("wsrun", b.dependency("wsrun", .{}).module("wsrun"));
    const core = b.addExecutable(.{ .name = options.name, .root_module = module });
    core.entry = .disabled;
    core.rdynamic = true;

    const component = b.addSystemCommand(&.{ wsrun, "component" });
    component.addFileArg(core.getEmittedBin());
    component.addArg("-o");
    const made = component.addOutputFileArg("handler.wasm");
    component.addFileArg(options.root_source_file);
    const dist = b.addUpdateSourceFiles();
    dist.addCopyFileToSource(made, b.fmt("dist/{s}.wasm", .{options.name}));
    b.getInstallStep().dependOn(&dist.step);
}

pub fn build(b: *std.Build) void {
    _ = b.addModule("wsrun", .{ .root_source_file = b.path("wsrun.zig") });
}
