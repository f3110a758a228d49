package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// S3 keeps objects in a bucket of Amazon S3, or of what speaks its protocol.
type S3 struct {
	client         *minio.Client
	bucket, prefix string
}

// Keys are the credentials of a bucket. They are printed nowhere.
type Keys struct {
	ID, Secret string
	Session    string // of temporary ones
}

// OpenS3 returns the S3 of a place, which is a bucket, or one and a prefix:
// bucket/prefix. The region is in AWS_REGION or AWS_DEFAULT_REGION, and the URL of
// another provider in AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL. Nobody is asked.
func OpenS3(place string, keys Keys) (*S3, error) {
	bucket, prefix, _ := strings.Cut(strings.Trim(place, "/"), "/")
	if bucket == "" {
		return nil, errors.New("s3: want s3://bucket or s3://bucket/prefix")
	}
	if keys.ID == "" || keys.Secret == "" {
		return nil, errors.New("s3: the bucket's credentials are missing: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or store the secrets aws-access-key-id and aws-secret-access-key")
	}
	endpoint := &url.URL{Scheme: "https", Host: "s3.amazonaws.com"}
	if other := firstEnv("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"); other != "" {
		var err error
		if endpoint, err = url.Parse(other); err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" {
			return nil, errors.New("s3: AWS_ENDPOINT_URL is not a URL such as https://s3.example.org")
		}
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds: credentials.NewStaticV4(keys.ID, keys.Secret, keys.Session), Secure: endpoint.Scheme == "https", Region: firstEnv("AWS_REGION", "AWS_DEFAULT_REGION")})
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	if prefix != "" {
		prefix += "/"
	}
	return &S3{client, bucket, prefix}, nil
}

func firstEnv(names ...string) string {
	for _, name := range names {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	return ""
}

// String names it.
func (s *S3) String() string { return "s3://" + s.bucket + "/" + s.prefix }

// Put implements [Backend]. What is put is first written to a file, for its size
// has to be known. That an object stays is up to the provider: one that does not
// know If-None-Match writes over it.
func (s *S3) Put(ctx context.Context, name string, write func(io.Writer) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	temp, err := os.CreateTemp("", "concierge-archive-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, temp.Close(), os.Remove(temp.Name())) }()
	if err := write(temp); err != nil {
		return err
	}
	size, err := temp.Seek(0, io.SeekCurrent)
	if err == nil {
		_, err = temp.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	opts := minio.PutObjectOptions{ContentType: "application/octet-stream", DisableMultipart: true}
	opts.SetMatchETagExcept("*")
	_, err = s.client.PutObject(ctx, s.bucket, s.prefix+name, temp, size, opts)
	return s.fail("put", name, err)
}

// Get implements [Backend].
func (s *S3) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	o, err := s.client.GetObject(ctx, s.bucket, s.prefix+name, minio.GetObjectOptions{})
	if err == nil {
		_, err = o.Stat() // which is when it is asked for
	}
	if err != nil {
		return nil, s.fail("get", name, err)
	}
	return o, nil
}

// List implements [Backend].
func (s *S3) List(ctx context.Context, prefix string) (names []string, err error) {
	if prefix = s.prefix + prefix; prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for o := range s.client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: prefix}) {
		if o.Err != nil {
			return nil, s.fail("list", prefix, o.Err)
		}
		if name := strings.TrimPrefix(o.Key, prefix); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, ctx.Err()
}

// Delete implements [Backend].
func (s *S3) Delete(ctx context.Context, name string) error {
	return s.fail("delete", name, s.client.RemoveObject(ctx, s.bucket, s.prefix+name, minio.RemoveObjectOptions{}))
}

func (s *S3) fail(what, name string, err error) error {
	if err == nil {
		return nil
	}
	switch minio.ToErrorResponse(err).Code {
	case minio.PreconditionFailed:
		return fmt.Errorf("%w: %s", ErrExists, name)
	case minio.NoSuchKey:
		return fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	return fmt.Errorf("s3: %s %s: %w", what, name, err)
}
