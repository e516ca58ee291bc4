// Runs node (or another program) to its end and says how long that took.

import { spawnSync } from 'node:child_process'
import path from 'node:path'

/** Wall-clock milliseconds from spawn to exit, and the output. A status other than 0 is an error. */
export function runNode(args, home, { env = {}, program = process.execPath } = {}) {
  const start = process.hrtime.bigint()
  const { status, signal, stdout, stderr, error } = spawnSync(program, args, {
    cwd: home.folder,
    env: home.env(env),
    encoding: 'utf8',
    timeout: 60_000,
    maxBuffer: 64 << 20,
  })
  const ms = Number(process.hrtime.bigint() - start) / 1e6
  if (error) throw error
  if (status !== 0)
    throw new Error(
      `\`${path.basename(program)} ${args.join(' ')}\` ended with ${signal ?? status}: ${stderr.slice(-800)}`,
    )
  return { ms, stdout }
}
