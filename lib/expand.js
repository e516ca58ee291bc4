'use strict'

// Owns: the list of processes as our daemon sends it to us (`src/daemon/delta.rs`), back to what `getMonitorData` gives.
// Must never: let two processes share an object: callers change what they get.
//
// V8 copies an object in one go where the code of a place has seen few shapes, and key by key where it has seen many: so
// the record, its environment and all else are copied in places of their own (half the time of one function for all).

/** @typedef {[base: number, name: string, pid: number, members: any, env: any, memory: number, cpu: number]} Line */

/**
 * @param {any} answer
 * @returns {any[]} of a stock daemon what it gave
 */
function expand(answer) {
  if (answer?.pm2rs !== 1) return answer
  // Looked through once, not for each copy.
  const bases = answer.bases.map((/** @type {Record<string, any>} */ record) => ({
    record,
    inner: objectsIn(record).filter(([key]) => key !== 'env'),
    innerEnv: objectsIn(record.env),
  }))
  return answer.list.map((/** @type {Line} */ [base, name, pid, members, variables, memory, cpu]) => {
    const { record, inner, innerEnv } = bases[base]
    const pm2_env = { ...record }
    const env = { ...record.env }
    pm2_env.env = env
    for (let at = 0; at < inner.length; at++) pm2_env[inner[at][0]] = clone(inner[at][1])
    for (let at = 0; at < innerEnv.length; at++) env[innerEnv[at][0]] = clone(innerEnv[at][1])
    if (members !== 0) Object.assign(pm2_env, members)
    if (variables !== 0) Object.assign(env, variables)
    env.unique_id = pm2_env.unique_id
    return { pid, name, pm2_env, pm_id: pm2_env.pm_id, monit: { memory, cpu } }
  })
}

/**
 * @param {Record<string, any>} record
 * @returns {[string, any][]} the members that must not be shared
 */
function objectsIn(record) {
  return Object.entries(record).filter(
    ([key, value]) => typeof value === 'object' && value !== null && key !== '__proto__',
  )
}

/** @param {any} value @returns {any} */
function clone(value) {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.length === 0 ? [] : value.map(clone)
  // Most are empty.
  for (const _ in value) return copy(value)
  return {}
}

/** @param {Record<string, any>} value the same keys in the same order */
function copy(value) {
  const made = { ...value }
  for (const [key, member] of objectsIn(value)) made[key] = clone(member)
  return made
}

module.exports = { expand }
