// Starts driver-child.cjs and sends it steps. A step is a function `(kit, argument) => result`; its SOURCE travels, so it can
// use nothing but its two parameters.

import { fork } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const child = fileURLToPath(new URL('driver-child.cjs', import.meta.url))

export class Driver {
  #child
  #waiting = new Map()
  #last = 0

  /** A driver of `peer` for `home`, ready for steps. It has not required the package yet. */
  static async start(peer, home) {
    const driver = new Driver(peer, home)
    await new Promise((resolve, reject) => driver.#waiting.set(0, { resolve, reject }))
    return driver
  }

  constructor(peer, home) {
    this.home = home
    // Into a file: what pm2 prints is wanted only when something fails, and nobody has to read a pipe for it.
    this.output = home.file(`driver-${home.drivers.size}.log`)
    home.write(`driver-${home.drivers.size}.log`, '')
    const output = openSync(this.output, 'a')
    this.#child = fork(child, [peer.package], {
      cwd: home.folder,
      env: home.env(),
      execArgv: [],
      stdio: ['ignore', output, output, 'ipc'],
    })
    closeSync(output)
    home.drivers.add(this)
    this.#child.on('message', ({ id, result, error }) => {
      const { resolve, reject } = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) resolve(result)
      else reject(new Error(error))
    })
    this.#child.on('exit', (code, signal) => {
      const text = readFileSync(this.output, 'utf8').slice(-1500)
      for (const { reject } of this.#waiting.values()) {
        reject(
          new Error(`the driver ended (${signal ?? code}) in the middle of a step; its output ends with:\n${text}`),
        )
      }
      this.#waiting.clear()
    })
  }

  get pid() {
    return this.#child.pid
  }

  /** Runs a step in the driver and gives back what it gives back. */
  run(step, argument) {
    const id = ++this.#last
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#child.send({ id, source: step.toString(), argument })
    })
  }

  /** One call of the API and the milliseconds it took, as the user's script sees it. */
  timed(method, ...args) {
    return this.run(
      async ({ call, now }, { method, args }) => {
        const start = now()
        await call(method, ...args)
        return now() - start
      },
      { method, args },
    )
  }

  /** One call of the API and what it gives. Only what JSON can carry comes back. */
  call(method, ...args) {
    return this.run(({ call }, { method, args }) => call(method, ...args), { method, args })
  }

  async end() {
    this.home.drivers.delete(this)
    const child = this.#child
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    this.#waiting.clear()
    child.kill('SIGKILL')
    await ended
  }
}
