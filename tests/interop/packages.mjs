// The npm packages lie outside the checkout: scripts/test-environment installs them, and the tests say where.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const folder = process.env.WSRUN_NODE_MODULES;
if (!folder) {
  throw new Error('WSRUN_NODE_MODULES is not set: run scripts/test-environment and start this through `cargo test`');
}

export const load = createRequire(join(folder, 'packages.cjs'));
