// Installs the development packages where they are missing.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..')

/** What the scripts run; all there means that an install has been completed. */
const tools = ['biome', 'napi', 'pm2', 'tsc']

/** Runs `npm install` unless everything is there. The lock file is followed and never rewritten. */
export function installPackages(stdio = 'inherit') {
  if (tools.every((name) => existsSync(path.join(root, 'node_modules', '.bin', name)))) return
  // Not `npm ci`: it wants a lock file that names the optional packages of every platform, and refuses ours on a
  // registry that does not list them all.
  const { status } = spawnSync('npm', ['install', '--no-save', '--no-audit', '--no-fund'], { cwd: root, stdio })
  if (status !== 0) throw new Error('`npm install` failed; see above')
}
