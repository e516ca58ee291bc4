// Compiles native.c and load.c, once a run.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

let folder

function compiled(name) {
  folder ??= mkdtempSync(path.join(tmpdir(), 'pm2-bench-native-'))
  const file = path.join(folder, name)
  if (!existsSync(file)) {
    const source = fileURLToPath(new URL(`${name}.c`, import.meta.url))
    const flags = ['-O2', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror']
    execFileSync(process.env.CC ?? 'cc', [...flags, '-o', file, source], { stdio: ['ignore', 'ignore', 'pipe'] })
  }
  return file
}

/** Path of the executable with the native apps. Needs a C compiler. */
export const native = () => compiled('native')

/** Path of the HTTP load generator (`load.mjs` runs it). */
export const loadGenerator = () => compiled('load')

export function removeNative() {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  folder = undefined
}
