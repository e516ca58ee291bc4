'use strict'

// The user's script: a process of its own that requires the package and carries out the steps it is sent. Stock pm2 keeps
// state in its modules, so each measurement has a new one.

const vm = require('node:vm')

const folder = process.argv[2]
let loaded

const kit = {
  require,
  folder,
  /** The package; required at the first use, so that a step can time that too. */
  get pm2() {
    loaded ??= require(folder)
    return loaded
  },
  /** Milliseconds, monotonic. */
  now: () => Number(process.hrtime.bigint()) / 1e6,
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  /** A method of the package as a promise. */
  call: (method, ...args) =>
    new Promise((resolve, reject) => {
      kit.pm2[method](...args, (error, result) => {
        if (error) reject(new Error(`${method}: ${[error].flat().map((one) => one?.stack ?? one)}`))
        else resolve(result)
      })
    }),
}

process.on('message', async ({ id, source, argument }) => {
  try {
    const step = vm.runInThisContext(`(${source})`)
    process.send({ id, result: await step(kit, argument) })
  } catch (error) {
    process.send({ id, error: error?.stack ?? String(error) })
  }
})
process.on('disconnect', () => process.exit(0))
process.send({ id: 0 })
