// `npm run package [-- FOLDER]`: what is published, as tarballs in FOLDER (`dist`): the package, and that of the platform this was
// built on (`npm/<platform>`), out of the build's output in the root. Run `npm run build` before.
//
// The platform packages are optional dependencies of the published package only: a checkout has no use for them, and an
// `npm install` in it would ask for versions that are not published yet.

import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..')
const read = (file) => JSON.parse(readFileSync(file, 'utf8'))

/** The manifests below `npm/`, by platform. */
function platforms() {
  const names = readdirSync(path.join(root, 'npm'))
  return new Map(names.map((name) => [name, read(path.join(root, 'npm', name, 'package.json'))]))
}

/** What is published of the root, into this folder. */
export function stagePackage(folder) {
  const { devDependencies: _, scripts: __, napi: ___, ...manifest } = read(path.join(root, 'package.json'))
  for (const name of manifest.files) cpSync(path.join(root, name), path.join(folder, name), { recursive: true })
  copyFileSync(path.join(root, 'README.md'), path.join(folder, 'README.md'))
  manifest.optionalDependencies = {}
  for (const { name, version } of platforms().values()) {
    if (version !== manifest.version) throw new Error(`${name} is ${version}, but pm2-rs is ${manifest.version}`)
    manifest.optionalDependencies[name] = version
  }
  writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
}

/** The package of the platform that the root was built on, into this folder; answers with its name. */
export function stagePlatform(folder) {
  const built = [...platforms()].find(([, { main }]) => existsSync(path.join(root, main)))
  if (!built) throw new Error('there is no addon here for any platform of npm/: run `npm run build`')
  const [platform, manifest] = built
  cpSync(path.join(root, 'npm', platform), folder, { recursive: true })
  for (const name of manifest.files) copyFileSync(path.join(root, name), path.join(folder, name))
  for (const name of ['LICENSE-MIT', 'LICENSE-APACHE']) copyFileSync(path.join(root, name), path.join(folder, name))
  return manifest.name
}

/** Packs a staged folder; answers with the tarball's path. */
export function pack(folder, into) {
  const answer = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', into], {
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return path.join(into, JSON.parse(answer)[0].filename.replace('@', '').replace('/', '-'))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const into = path.resolve(process.argv[2] ?? path.join(root, 'dist'))
  mkdirSync(into, { recursive: true })
  for (const stage of [stagePackage, stagePlatform]) {
    const folder = mkdtempSync(path.join(tmpdir(), 'pm2-rs-package-'))
    try {
      stage(folder)
      console.log(pack(folder, into))
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
