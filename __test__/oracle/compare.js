'use strict'

// Compares what stock pm2 answered with what we answered: the same errors, the same keys, the same types.

/**
 * What we do otherwise on purpose. Each entry names the heading of docs/differences.md that gives the reason; a test
 * checks that the heading is there.
 */
const deviations = {
  'env-not-touched': "The caller's environment is left alone",
  'no-empty-settings': 'No variable named like the app',
  'trimmed-start-result': 'What start calls back with',
  'app-metrics': 'Metrics inside the app',
  'no-leftovers': 'No leftovers of a restart',
  'no-stale-env': 'Variables that left the configuration leave the app',
  'last-exit': 'The command line',
}

/** Keys that stock leaves in the environment of apps, and thereby on the top level of pm2_env. */
const leaked = [
  'PM2_JSON_PROCESSING',
  'PM2_INTERACTOR_PROCESSING',
  'PM2_PROGRAMMATIC',
  'PM2_STATUS',
  'PM2_SILENT',
  'PM2_USAGE',
  'PWD',
]

/** Filled by the code inside the app, at its own pace: only the type is compared ('app-metrics'). */
const opaque = ['axm_actions', 'axm_monitor', 'axm_options', 'axm_dynamic']

/** A child process as stock dumps it is mostly Node's internals; these are what programs can use. */
const startedKeys = [
  'pid',
  'process',
  'pm2_env',
  'connected',
  'signalCode',
  'exitCode',
  'killed',
  'spawnfile',
  'spawnargs',
]

/** The type of a value, with the types of what is in it. */
function shape(value, key = '') {
  if (value === null) return 'null'
  if (opaque.includes(key)) return Array.isArray(value) ? 'array' : 'object'
  if (Array.isArray(value)) {
    if (['args', 'node_args', 'spawnargs', '_tree_pids', 'filter_env'].includes(key)) return 'array'
    return value.map((entry) => shape(entry))
  }
  if (typeof value !== 'object') return typeof value
  const keys = Object.keys(value).filter((name) => !ignored(name, value, key))
  return Object.fromEntries(
    keys.sort().map((name) => [name, name === 'process' && 'spawnfile' in value ? 'object' : shape(value[name], name)]),
  )
}

function ignored(name, value, parent) {
  if (leaked.includes(name)) return true
  // 'no-leftovers'; and `node_version` is there once the app has said it, which is a matter of time.
  if (name === 'updateEnv' || name === 'node_version') return true
  // 'last-exit': by which signal, and when, only ours says.
  if (name === 'exit_signal' || name === 'exited_at') return true
  // 'no-empty-settings': stock puts a variable named like the app, holding {}, into its environment.
  if ((parent === 'env' || parent === 'pm2_env') && ['msg', 'obj', 'one', 'two', 'many'].includes(name)) return true
  // 'trimmed-start-result'
  if ('_eventsCount' in value || ('spawnfile' in value && 'pm2_env' in value)) return !startedKeys.includes(name)
  return false
}

/** Texts with what differs from run to run taken out. */
function mask(value, folders) {
  let text = JSON.stringify(value ?? null)
  for (const [folder, name] of folders) text = text.replaceAll(folder, name)
  return JSON.parse(text)
}

/** The variables of the app that the scenario starts a second time without them ('no-stale-env'). */
const leftTheConfiguration = ['FOO', 'N', 'B', 'O']

/** Drops from shapes what a second start without these variables takes away; `unique_id` lives beside `env` with us. */
function withoutStale(shapes) {
  if (Array.isArray(shapes)) return shapes.map(withoutStale)
  if (typeof shapes !== 'object' || shapes === null) return shapes
  const kept = Object.entries(shapes).filter(([name]) => !leftTheConfiguration.includes(name) && name !== 'unique_id')
  return Object.fromEntries(kept.map(([name, value]) => [name, withoutStale(value)]))
}

/** Every path at which two shapes differ, as `path: theirs / ours`. */
function differences(theirs, ours, at = '') {
  if (typeof theirs !== 'object' || typeof ours !== 'object' || theirs === null || ours === null) {
    return theirs === ours ? [] : [`${at || '(itself)'}: ${brief(theirs)} / ${brief(ours)}`]
  }
  const keys = new Set([...Object.keys(theirs), ...Object.keys(ours)])
  return [...keys].flatMap((key) => differences(theirs[key], ours[key], `${at}.${key}`))
}

function brief(value) {
  if (value === undefined) return 'missing'
  const text = JSON.stringify(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

module.exports = { deviations, differences, mask, shape, withoutStale }
