package ship

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/minio/minio-go/v7"
)

// putParts sends an object that is longer than a part, and goes on with an upload
// that was interrupted: a name holds the digest of what it names, so whatever was
// begun under it was the same. A part that is there counts if its ETag is the MD5
// sum of what it must hold; the server compares that sum with what it is sent.
func (b *Bucket) putParts(ctx context.Context, key string, content Content, r io.Reader, o minio.PutObjectOptions) (info minio.UploadInfo, err error) {
	core := minio.Core{Client: b.c}
	id, have, err := b.begun(ctx, core, key)
	if err == nil && id == "" {
		id, err = core.NewMultipartUpload(ctx, b.o.Bucket, key, o)
	}
	if err != nil {
		return info, err
	}
	var parts []minio.CompletePart
	for n, sum := range content.parts {
		size := min(content.Bytes-int64(n)*partBytes, partBytes)
		p, there := have[n+1]
		if there && p.Size == size && sameETag(p.ETag, hex.EncodeToString(sum[:])) {
			if _, err := io.CopyN(io.Discard, r, size); err != nil {
				return info, err
			}
		} else if p, err = core.PutObjectPart(ctx, b.o.Bucket, key, id, n+1, io.LimitReader(limited(ctx, r), size), size,
			minio.PutObjectPartOptions{Md5Base64: base64.StdEncoding.EncodeToString(sum[:])}); err != nil {
			return info, err
		}
		parts = append(parts, minio.CompletePart{PartNumber: n + 1, ETag: p.ETag})
	}
	if _, err := core.CompleteMultipartUpload(ctx, b.o.Bucket, key, id, parts, minio.PutObjectOptions{}); err != nil {
		return info, err
	}
	there, err := b.c.StatObject(ctx, b.o.Bucket, key, minio.StatObjectOptions{})
	return minio.UploadInfo{Size: there.Size, ETag: there.ETag}, err
}

// begun returns the newest upload of an object that was not finished, and its parts
// by number. Older ones are given up.
func (b *Bucket) begun(ctx context.Context, core minio.Core, key string) (id string, have map[int]minio.ObjectPart, err error) {
	list, err := core.ListMultipartUploads(ctx, b.o.Bucket, key, "", "", "", 1000)
	if err != nil {
		return "", nil, err
	}
	var newest *minio.ObjectMultipartInfo
	for i := range list.Uploads {
		u := &list.Uploads[i]
		if u.Key != key {
			continue
		}
		old := newest
		if newest == nil || u.Initiated.After(newest.Initiated) {
			newest = u
		} else {
			old = u
		}
		if old != nil {
			err = errors.Join(err, core.AbortMultipartUpload(ctx, b.o.Bucket, key, old.UploadID))
		}
	}
	if newest == nil || err != nil {
		return "", nil, err
	}
	have = map[int]minio.ObjectPart{}
	for marker := 0; ; {
		parts, err := core.ListObjectParts(ctx, b.o.Bucket, key, newest.UploadID, marker, 1000)
		if err != nil {
			return "", nil, fmt.Errorf("an upload that was begun: %w", err)
		}
		for _, p := range parts.ObjectParts {
			have[p.PartNumber] = p
		}
		if !parts.IsTruncated {
			return newest.UploadID, have, nil
		}
		marker = parts.NextPartNumberMarker
	}
}
