// A fresh PM2_HOME for one measurement, who runs under it, and the end of all of that.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { isAlive, pidsWith } from './proc.mjs'

/** In the environment of every app that a metric starts: tells apps and daemon-side processes apart. */
const APP_MARK = 'PM2_BENCH_APP'

const open = new Set()

export class Home {
  constructor() {
    this.folder = mkdtempSync(path.join(process.env.PM2_BENCH_DIR ?? tmpdir(), 'pm2-bench-'))
    this.path = path.join(this.folder, 'home')
    mkdirSync(this.path, { mode: 0o700 })
    this.drivers = new Set()
    open.add(this)
  }

  /**
   * The environment of everything that talks to this home: nothing of an outer process manager gets in, nor a file of certificates,
   * which makes the start of any Node twice as long and so flatters what is compared with it.
   */
  env(extra = {}) {
    const env = { ...process.env, PM2_HOME: this.path, PM2_DISABLE_VERSION_CHECK: 'true', ...extra }
    for (const name of [
      'PM2_PROGRAMMATIC',
      'PM2_USAGE',
      'pm_id',
      'NODE_OPTIONS',
      'NODE_CHANNEL_FD',
      'NODE_EXTRA_CA_CERTS',
    ])
      delete env[name]
    return env
  }

  file(name) {
    return path.join(this.folder, name)
  }

  write(name, text) {
    writeFileSync(this.file(name), text)
    return this.file(name)
  }

  /** The environment of an app. */
  appEnv(extra = {}) {
    return { [APP_MARK]: '1', ...extra }
  }

  /** `count` processes of one native app that does nothing. */
  idle(count, name = 'idle') {
    const env = this.appEnv()
    return {
      script: '/bin/sleep',
      args: ['1000000'],
      interpreter: 'none',
      exec_mode: 'fork',
      instances: count,
      name,
      env,
    }
  }

  /** Pids of daemon and keeper: what runs for this home and is neither app nor driver. None is an error. */
  daemonSide() {
    const pids = this.#daemonSide()
    if (pids.length === 0) throw new Error(`no daemon runs for ${this.path}`)
    return pids
  }

  #daemonSide() {
    const drivers = new Set([...this.drivers].map((driver) => driver.pid))
    return pidsWith(`PM2_HOME=${this.path}`, [`${APP_MARK}=`]).filter((pid) => !drivers.has(pid) && isAlive(pid))
  }

  /** What `pm2.pid` says. */
  pidFile() {
    return Number(readFileSync(path.join(this.path, 'pm2.pid'), 'latin1').trim())
  }

  async end() {
    for (const driver of this.drivers) await driver.end()
    // Daemon side first, so that nobody starts an app again.
    for (const who of [() => this.#daemonSide(), () => pidsWith(`PM2_HOME=${this.path}`)]) {
      for (let tries = 0; ; tries++) {
        const pids = who().filter(isAlive)
        if (pids.length === 0) break
        if (tries === 200) throw new Error(`still running under ${this.path}: ${pids.join(', ')}`)
        for (const pid of pids) {
          try {
            process.kill(pid, 'SIGKILL')
          } catch {
            // Gone already.
          }
        }
        await sleep(10)
      }
    }
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
    open.delete(this)
  }
}

/** Ends every home that is still there. */
export async function endAll() {
  for (const home of open) await home.end()
}
