declare const PVE_TRUENAS_VERSION: string | undefined;

/** Version of this build; the bundler puts in what package.json says, running from source shows `0.0.0-source`. */
export const VERSION: string = typeof PVE_TRUENAS_VERSION === 'string' ? PVE_TRUENAS_VERSION : '0.0.0-source';
