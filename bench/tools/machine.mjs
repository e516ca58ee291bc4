// Where and with what a run was made: part of each result, for a figure without it says nothing.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import path from 'node:path'

import { peers } from './peers.mjs'

function git(...args) {
  try {
    return execFileSync('git', args, {
      cwd: peers.ours.package,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return undefined // Not a working copy.
  }
}

const version = (peer) => JSON.parse(readFileSync(path.join(peer.package, 'package.json'), 'utf8')).version

export function machine() {
  return {
    date: new Date().toISOString(),
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryGB: Math.round(totalmem() / 2 ** 30),
    kernel: `${process.platform} ${release()}`,
    node: process.version,
    load: loadavg(),
    pm2: version(peers.pm2),
    ours: version(peers.ours),
    commit: git('rev-parse', '--short', 'HEAD'),
    changed: git('status', '--porcelain') !== '',
  }
}
