'use strict'

// Owns: how an answer reaches the caller: errback or promise (contract/api.md section 3).

/**
 * The callback among the last two arguments: options may be left out.
 * @param {unknown} optional
 * @param {unknown} last
 * @returns {any}
 */
function callback(optional, last) {
  if (typeof last === 'function') return last
  return typeof optional === 'function' ? optional : undefined
}

/**
 * The callback wherever it is, for methods whose forms differ in length.
 * @param {unknown[]} args
 * @returns {any}
 */
function anyCallback(args) {
  return args.find((argument) => typeof argument === 'function')
}

/**
 * Errback when there is a callback, else a promise. A callback is called once, outside the promise's chain: what it
 * throws is an uncaught exception of the program, and nothing here is harmed by it.
 * @param {unknown} cb
 * @param {() => Promise<any>} work
 * @returns {any}
 */
function settle(cb, work) {
  const promise = attempt(work)
  if (typeof cb !== 'function') return handled(promise)
  const done = /** @type {(...args: any[]) => void} */ (cb)
  promise.then(
    (result) => (result === undefined ? process.nextTick(done, null) : process.nextTick(done, null, result)),
    (error) => {
      // A start of which a part failed: all errors, and what did start.
      if (Array.isArray(error?.errors)) process.nextTick(done, error.errors, error.partial)
      else process.nextTick(done, error)
    },
  )
  return undefined
}

/** @param {() => Promise<any>} work what it throws at once is a rejection too */
async function attempt(work) {
  return work()
}

/**
 * Without a callback errors are dropped silently (contract/api.md 3.1), unless somebody waits for the promise.
 * @template T
 * @param {Promise<T>} promise
 */
function handled(promise) {
  promise.catch(() => {})
  return promise
}

/**
 * @param {unknown} cb
 * @param {string} message
 */
function refuse(cb, message) {
  return settle(cb, async () => {
    throw Object.assign(new Error(message), { code: 'NOT_SUPPORTED' })
  })
}

module.exports = { callback, anyCallback, settle, handled, refuse }
