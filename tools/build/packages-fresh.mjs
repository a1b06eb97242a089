// Exit status 0 when node_modules holds exactly the versions that package-lock.json lists. Runs before anything is
// installed, so it imports nothing. A stamp file would miss an `npm install` done by hand; npm's own record does not.
import { existsSync, readFileSync } from 'node:fs';

const RECORD = 'node_modules/.package-lock.json';

function packages(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages ?? {};
}

function fresh() {
  if (!existsSync(RECORD)) return false;
  const installed = packages(RECORD);
  return Object.entries(packages('package-lock.json')).every(([path, wanted]) => {
    if (path === '') return true;
    const found = installed[path];
    // Builds for other platforms are listed, but not installed.
    if (found === undefined || !existsSync(`${path}/package.json`)) return wanted.optional === true;
    return found.version === wanted.version && found.integrity === wanted.integrity;
  });
}

process.exit(fresh() ? 0 : 1);
